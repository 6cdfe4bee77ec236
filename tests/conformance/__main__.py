"""`python -m tests.conformance DIR [--place edge] [--only ID]`: runs every case file in DIR and below, and says how many passed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.conformance.harness import verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("folder", type=Path, metavar="DIR", nargs="?", default=Path(__file__).parent)
    parser.add_argument("--place", choices=("edge", "cloud", "random"), default="edge", help="where computed nodes run")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random placement")
    parser.add_argument("--only", metavar="ID", help="one case")
    args = parser.parse_args()
    files = sorted(args.folder.rglob("*.yaml"))
    if args.only:
        files = [path for path in files if path.stem == args.only]
    failed = 0
    for path in files:
        try:
            bad = verdict(path, place=args.place, seed=args.seed)
        except Exception as error:  # noqa: BLE001 - a case that cannot be run at all has failed
            bad = [f"{type(error).__name__}: {error}"]
        if bad:
            failed += 1
            print(f"FAILED {path.stem}")
            for line in bad:
                print(f"  {line}")
    print(f"{len(files) - failed} passed, {failed} failed")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
