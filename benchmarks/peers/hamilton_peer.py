"""Hamilton: functions whose parameters name the functions they read, run by its asynchronous driver.

It has neither maps over a graph nor loops: a row and a turn are an execution each.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hamilton import ad_hoc_utils, async_driver  # type: ignore[import-not-found]
from hamilton.version import VERSION  # type: ignore[import-not-found]

from benchmarks.bounds import Run
from benchmarks.workloads import PRIME, Workload, step, total

__all__ = ["build", "version"]

_serial = itertools.count()


def version() -> str:
    return "Hamilton " + ".".join(map(str, VERSION))


def build(workload: Workload, loop: asyncio.AbstractEventLoop) -> Run:
    if workload.kind == "dag":
        driver = _driver(dict(workload.nodes), loop)

        async def run() -> int:
            results = await driver.raw_execute(list(workload.outputs), inputs={})
            return total([results[name] for name in workload.outputs])

        return run
    line = ["given", *"abc"[: 3 if workload.kind == "map" else 2]]
    driver = _driver({name: (before,) for before, name in itertools.pairwise(line)}, loop)

    async def once(value: int) -> dict[str, int]:
        results = await driver.raw_execute([line[-1]], inputs={"given": {"v": value}})
        last: dict[str, int] = results[line[-1]]
        return last

    async def run_map() -> int:
        return total(await asyncio.gather(*[once(row) for row in range(workload.size)]))

    async def run_loop() -> int:
        value = 0
        for _ in range(workload.size):
            value = (await once(value))["v"]
        return value % PRIME

    return run_map if workload.kind == "map" else run_loop


def _driver(reads: dict[str, tuple[str, ...]], loop: asyncio.AbstractEventLoop) -> Any:
    source = "\n".join(_function(name, names) for name, names in reads.items())
    namespace: dict[str, Any] = {"step": step}
    exec(source, namespace)  # its graph *is* the signatures of functions
    module = f"made_{next(_serial)}"
    functions = [namespace[name] for name in reads]
    for each in functions:
        each.__module__ = module
    made = ad_hoc_utils.create_temporary_module(*functions, module_name=module)
    return loop.run_until_complete(async_driver.Builder().with_modules(made).build())


def _function(name: str, reads: tuple[str, ...]) -> str:
    parameters = ", ".join(f"{each}: dict" for each in reads)
    values = ", ".join(f"{each}['v']" for each in reads)
    return f"async def {name}({parameters}) -> dict:\n    return step([{values}])\n"
