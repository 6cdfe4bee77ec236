"""Budgets: what a run and its nodes may cost, what they have cost, and the question when that is reached."""
