"""What real runs took, as data: graphs, and the rows that a device's journal noted of them here and at a worker (`record.py` makes them anew)."""
