"""Many schedules: `make chaos SEED=1 SCHEDULES=5000`, or `python tests/chaos/seeds.py --seed 1 --schedules 5000`."""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chaos.schedule import Outcome, faults_of, play  # noqa: E402 - found by the path above when this is the program

__all__ = ["check", "undisturbed"]


def undisturbed(folder: Path) -> Outcome:
    """The run that nobody disturbs: what all others are compared with."""
    quiet = play(0, folder)
    assert quiet.rounds == 1
    return quiet


def check(outcome: Outcome, quiet: Outcome) -> None:
    """The answer is the undisturbed one, or a person is asked about a node with effects whose side was killed."""
    assert set(outcome.doomed) <= set(outcome.asked), f"{outcome.doomed} may have happened or not, and nobody was asked"
    if outcome.asked:
        killed = [fault for fault in outcome.happened if fault.kind in ("worker", "device")]
        assert killed or outcome.doomed, f"asked about {outcome.asked} though nobody was killed"
        assert set(outcome.asked) <= {"paid", "sent"}
    else:
        assert outcome.results == quiet.results


def main() -> int:
    """Plays the schedules; the number of those that failed, each told with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schedules", type=int, default=100)
    args = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        quiet = undisturbed(Path(folder))
    for seed in range(args.seed, args.seed + args.schedules):
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = play(seed, Path(folder))
                check(outcome, quiet)
            except Exception:  # noqa: BLE001 - told, and the others are played
                counts["failed"] += 1
                print(f"seed {seed} FAILED: {faults_of(seed)}\n{traceback.format_exc()}", flush=True)
                continue
        counts["asked" if outcome.asked else "the same answer"] += 1
        counts.update(f"{fault.kind} happened" for fault in outcome.happened)
        counts.update(f"{node} killed its process" for node in outcome.doomed)
        happened = [*(fault.kind for fault in outcome.happened), *(f"death in {node}" for node in outcome.doomed)]
        print(f"seed {seed}: {outcome.rounds} commands, {', '.join(happened) or 'nothing happened'}", flush=True)
    print(", ".join(f"{number} {name}" for name, number in counts.most_common()))
    return min(counts["failed"], 100)


if __name__ == "__main__":
    sys.exit(main())
