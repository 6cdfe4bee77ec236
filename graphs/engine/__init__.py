"""The engine: decides what of a run starts when, from values and their order alone. Every module here is pure.

Read `engine` first, then `plan` (a graph, compiled), `frames` and `turns` (one graph instance), `limits` (the queue).
"""
