"""Budgets on a device: what the guard of a run (graphs.spending) is told here."""
