"""Running: the asyncio shell around the engine, which owns tasks, timers and threads, and what it hands an agent.

`runtime` is the door.
"""
