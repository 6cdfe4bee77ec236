"""Example graphs, each with a comment that says what it shows and how to run it."""
