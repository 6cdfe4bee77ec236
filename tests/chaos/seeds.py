"""Many schedules: `make chaos SEED=1 SCHEDULES=5000`, or `python tests/chaos/seeds.py --seed 1 --schedules 5000`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chaos.schedule import Outcome, faults_of, play  # noqa: E402 - found by the path above when this is the program
from chaos.zygote import Zygote  # noqa: E402

JOBS = 6
"""Schedules at once: most of each is waiting, so that two cores have enough to do."""

__all__ = ["JOBS", "check", "play_all", "undisturbed"]


def undisturbed(folder: Path, zygote: Zygote) -> Outcome:
    """The run that nobody disturbs: what all others are compared with."""
    quiet = play(0, folder, zygote)
    assert quiet.rounds == 1
    return quiet


def check(outcome: Outcome, quiet: Outcome) -> None:
    """The answer is the undisturbed one, or a person is asked about a node with effects whose side was killed, or a disk lost what it had
    called durable and that is said.
    """
    if outcome.diverged or outcome.damaged is not None:
        return
    assert set(outcome.doomed) <= set(outcome.asked), f"{outcome.doomed} may have happened or not, and nobody was asked"
    if outcome.asked:
        died = [fault for fault in outcome.happened if fault.kind.startswith(("worker", "device"))]
        assert died or outcome.doomed, f"asked about {outcome.asked} though nobody died"
        assert set(outcome.asked) <= {"paid", "sent"}
    else:
        assert outcome.results == quiet.results


def play_all(seeds: Iterable[int], quiet: Outcome, zygote: Zygote, tell: Callable[[str], None], jobs: int = JOBS) -> Counter[str]:
    """Plays the schedules of these seeds, `jobs` at a time, and tells each; how often what happened. `failed` counts those that broke a rule."""
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(jobs) as pool:
        for seed, outcome in pool.map(lambda seed: (seed, _play_one(seed, quiet, zygote)), seeds):
            if isinstance(outcome, str):
                counts["failed"] += 1
                tell(f"make chaos SEED={seed} SCHEDULES=1    # FAILED: {faults_of(seed)}\n{outcome}")
                continue
            counts[_ending(outcome)] += 1
            counts.update(f"{fault.kind} happened" for fault in outcome.happened)
            counts.update(f"{node} killed its process" for node in outcome.doomed)
            happened = [*(fault.kind for fault in outcome.happened), *(f"death in {node}" for node in outcome.doomed)]
            tell(f"seed {seed}: {outcome.rounds} commands, {', '.join(happened) or 'nothing happened'}: {_ending(outcome)}")
    return counts


def _play_one(seed: int, quiet: Outcome, zygote: Zygote) -> Outcome | str:
    """What it came to, or what was wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = play(seed, Path(folder), zygote)
            check(outcome, quiet)
        except Exception:  # noqa: BLE001 - told, and the others are played
            return traceback.format_exc()
    return outcome


def _ending(outcome: Outcome) -> str:
    if outcome.asked:
        return "asked"
    if outcome.diverged:
        return "diverged"
    return "damaged" if outcome.damaged is not None else "the same answer"


def main() -> int:
    """Plays the schedules; the number of those that failed, each told with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=JOBS, help="schedules at once")
    args = parser.parse_args()
    began = time.monotonic()
    zygote = Zygote()
    try:
        with tempfile.TemporaryDirectory() as folder:
            quiet = undisturbed(Path(folder), zygote)
        seeds = range(args.seed, args.seed + args.schedules)
        counts = play_all(seeds, quiet, zygote, lambda line: print(line, flush=True), args.jobs)
    finally:
        zygote.close()
    print(", ".join(f"{number} {name}" for name, number in counts.most_common()), f"; {time.monotonic() - began:.0f} s", sep="")
    return min(counts["failed"], 100)


if __name__ == "__main__":
    sys.exit(main())
