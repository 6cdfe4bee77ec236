"""Runs of this device: `runner` begins one, `resuming` goes on with one, `fork` makes one of another."""
