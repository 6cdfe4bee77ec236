"""A slow, obvious interpreter of the graph language that the engine is compared with."""
