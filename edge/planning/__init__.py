"""What a run is expected to take, and what it took: facts with their sources, history, estimates, plans."""
