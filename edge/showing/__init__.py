"""Showing a run on a terminal and as data: `progress` is what commands use."""
