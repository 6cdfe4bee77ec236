"""The audit of runs: what left this device, to whom, and why it might."""
