"""Ferrying: what of a run is at a worker: what is shipped, what comes back, what may have happened there, and what becomes of it without a worker.

`delegate` is the door for a run, `worker` the link to one worker.
"""
