"""A layered graph of as many nodes as the first argument says, built and run once."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.fresh.usage import peak_mb, tell
from benchmarks.ours import runner
from benchmarks.workloads import layered

at_start = peak_mb()
workload = layered(int(sys.argv[1]))
run = runner(workload)
built = peak_mb()


async def main() -> int:
    return await run()


tell(asyncio.run(main()), workload.answer, at_start=at_start, built=built)
