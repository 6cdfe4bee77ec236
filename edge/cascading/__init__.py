"""Cascades on this device: where the bar lies below which a second model is asked, and what past runs say of it."""
