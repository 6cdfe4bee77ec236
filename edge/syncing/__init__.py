"""Syncing: runs that are the same on all stores of an account, and runs that move from one store to another."""
