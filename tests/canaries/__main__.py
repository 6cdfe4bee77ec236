"""`python -m tests.canaries --seed N --count N`: plays so many graphs from that seed on, each fourth with placement broken."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser
from pathlib import Path

sys.path[:0] = [str(each) for each in Path(__file__).resolve().parents[1:3]]

from canaries.play import Leak, play, playground  # noqa: E402 - found by the path above

_BATCH = 200


async def _main(first: int, count: int) -> int:
    for start in range(first, first + count, _BATCH):
        seeds = range(start, min(start + _BATCH, first + count))
        broken = (start - first) // _BATCH % 4 == 3
        try:
            async with playground() as ground:  # a new one each time: journals that grow make every sync slower
                tally = await play(ground, seeds, broken=broken)
        except Leak as leak:
            print(leak)
            return 1
        print(f"seeds {seeds.start} to {seeds.stop - 1}{', placement broken' if broken else ''}: {tally}", flush=True)
    return 0


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m tests.canaries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=400)
    args = parser.parse_args()
    return asyncio.run(_main(args.seed, args.count))


if __name__ == "__main__":
    sys.exit(main())
