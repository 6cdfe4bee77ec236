"""The network as this device finds it: what it costs now, what the user allows of it, and the switch that closes it."""
