"""Runs every hostile graph in a process of its own, whose memory is limited: a limit that does not hold shows as its end.

`python hostile_runs.py MODE` prints one line of JSON a graph; MODE is `here`, `own` (as the user's own graphs) or `worker`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import graphferry as gf
from graphferry.testing import worker_in_process
from graphs.bounds import UNTRUSTED, with_limits
from graphs.errors import GraphInvalid
from hostile import AT_A_WORKER, GRAPHS, Hostile

MEMORY = 1_500 * 2**20
LIMITS: Mapping[str, float] = {"value_bytes": 2**20, "run_bytes": 2**24, "seconds": 250}
"""Smaller than the defaults, so that the table is through in seconds."""


OWN: Mapping[str, float] = {"value_bytes": 2**20, "nodes": 400_000, "turns": 25_000, "retries": 2_000}
"""The same for graphs of one's own; what is not here has its default."""


def limits_of(each: Hostile) -> dict[str, float | None]:
    """A run that only time can stop is stopped soon."""
    return {**LIMITS, **({"seconds": 0.1} if each.limit == "seconds" else {})}


def here(each: Hostile) -> dict[str, Any]:
    try:
        ended = gf.run(each.make(), untrusted=True, limits=limits_of(each))
    except GraphInvalid as error:
        return {"status": "invalid", "errors": [str(error)]}
    return {"status": ended.status, "errors": [told(error) for error in ended.errors.values()]}


def own(each: Hostile) -> dict[str, Any]:
    ended = gf.run(each.make(), limits=OWN)
    return {"status": ended.status, "errors": [told(error) for error in ended.errors.values()]}


def told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


async def at_a_worker(each: Hostile) -> dict[str, Any]:
    bounds = with_limits(UNTRUSTED, limits_of(each), where="test")
    async with worker_in_process(bounds=bounds) as worker:
        graph = {**each.make(), "place": "cloud"}
        ended = await worker.run(graph)
        places = sorted({node.place for node in ended.nodes.values()})
        return {"status": ended.status, "errors": [told(error) for error in ended.errors.values()], "places": places}


def outcomes(mode: str) -> Iterator[dict[str, Any]]:
    for each in GRAPHS:
        if mode == "here":
            yield {"name": each.name, **here(each)}
        elif mode == "own":
            if each.trusted is not None:
                yield {"name": each.name, **own(each)}
        elif each.name in AT_A_WORKER:
            yield {"name": each.name, **asyncio.run(at_a_worker(each))}


def main(mode: str) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # no such limit on this system: the table still says what stops what
        pass
    for outcome in outcomes(mode):
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
