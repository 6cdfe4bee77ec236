"""Canaries: random graphs with random texts in their labelled values, and every byte between device and worker looked through for those texts."""
