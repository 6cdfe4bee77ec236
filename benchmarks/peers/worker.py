"""A peer's process: `python -m benchmarks.peers.worker NAME` reads a request a line and answers a line, until its input ends."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.bounds import Run
from benchmarks.workloads import named

__all__ = ["main"]


def main(name: str, read: Callable[[], str], tell: Callable[[dict[str, Any]], None]) -> None:
    """Answer what is read until there is no more."""
    try:
        peer = import_module(f"benchmarks.peers.{name}_peer")
        tell({"version": peer.version()})
    except ImportError as error:
        tell({"error": f"not installed: {error}"})
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    built: dict[str, Run] = {}
    while line := read():
        try:
            tell(_answer(peer, loop, built, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its answer
            tell({"error": f"{type(error).__name__}: {error}"})


def _answer(peer: ModuleType, loop: asyncio.AbstractEventLoop, built: dict[str, Run], request: dict[str, Any]) -> dict[str, Any]:
    if "keep" in request:
        answer, seconds = peer.keep(request["keep"], Path(request["folder"]), normal=request["mode"] == "normal")
        return {"answer": answer, "cpu": 0, "wall": seconds}
    if "chat" in request:
        answer, seconds = peer.chat(request["chat"], request["size"], Path(request["folder"]))
        return {"answer": answer, "cpu": 0, "wall": seconds}
    name = request["workload"]
    if name not in built:
        built[name] = peer.build(named(name), loop)
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    answer = loop.run_until_complete(built[name]())
    return {"answer": answer, "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(20_000)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a peer prints is no answer
    main(sys.argv[1], sys.stdin.readline, lambda answer: print(json.dumps(answer), file=answers))
    os._exit(0)  # some leave threads behind that would keep the process for long
