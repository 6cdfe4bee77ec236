"""Many schedules: `make chaos SEED=1 SCHEDULES=5000`, or `python tests/chaos/seeds.py --seed 1 --schedules 5000`.

Every fourth seed stands for a schedule of two devices and a worker between which a run moves, the others for one of a device and a worker.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chaos.fleet import QUIET, Moved, play_fleet, schedule_of  # noqa: E402 - found by the path above when this is the program
from chaos.schedule import Outcome, faults_of, play  # noqa: E402
from chaos.zygote import Zygote  # noqa: E402

JOBS = 6
"""Schedules at once: most of each is waiting, so that two cores have enough to do."""

EVERY = 4
"""Of so many seeds in a row one is of two devices."""

_MEMORY = Path("/dev/shm")
"""Where the files of schedules lie if there is such a place: what a process that is killed had written survives there as on a disk."""

_Played = tuple[int, "Outcome | Moved | str"]

__all__ = ["JOBS", "Quiet", "check", "moves", "play_all", "undisturbed"]


@dataclass(frozen=True)
class Quiet:
    """The runs that nobody disturbs: what all others are compared with."""

    one: Outcome
    moved: Moved


def moves(seed: int) -> bool:
    """Whether the schedule of a seed is one of two devices."""
    return seed % EVERY == 0


def undisturbed(folder: Path, zygote: Zygote) -> Quiet:
    """Plays them in an empty folder."""
    for name in ("one", "moved"):
        (folder / name).mkdir()
    quiet = Quiet(play(0, folder / "one", zygote), play_fleet(QUIET, 0, folder / "moved", zygote))
    assert quiet.one.rounds == 1
    assert set(quiet.moved.statuses.values()) == {"completed"}
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


def play_all(
    seeds: Iterable[int], quiet: Quiet, zygote: Zygote, tell: Callable[[str], None], jobs: int = JOBS, keep: Path | None = None
) -> Counter[str]:
    """Plays the schedules of these seeds, `jobs` at a time, and tells each; how often what happened. `failed` counts those that broke a rule: their
    files are kept in a folder of their own in `keep`.
    """
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(jobs) as pool:
        for seed, outcome in _as_they_end(pool, lambda seed: (seed, _play_one(seed, quiet, zygote, keep)), seeds, jobs):
            if isinstance(outcome, str):
                counts["failed"] += 1
                drawn = schedule_of(seed) if moves(seed) else faults_of(seed)
                tell(f"make chaos SEED={seed} SCHEDULES=1    # FAILED: {drawn}\n{outcome}")
                continue
            counts[_ending(outcome)] += 1
            counts.update(f"{fault.kind} happened" for fault in outcome.happened)
            counts.update(f"{node} killed its process" for node in outcome.doomed)
            happened = [*(fault.kind for fault in outcome.happened), *(f"death in {node}" for node in outcome.doomed)]
            many = outcome.rounds if isinstance(outcome, Outcome) else f"two devices, {len(outcome.did)}"
            tell(f"seed {seed}: {many} commands, {', '.join(happened) or 'nothing happened'}: {_ending(outcome)}")
    return counts


def _until(end: float, seeds: Iterable[int]) -> Iterator[int]:
    return itertools.takewhile(lambda _: time.monotonic() < end, seeds)


def _as_they_end(pool: ThreadPoolExecutor, play: Callable[[int], _Played], seeds: Iterable[int], jobs: int) -> Iterator[_Played]:
    """What became of each, in the order in which they end; the next is drawn when one has ended."""
    ahead = iter(seeds)
    playing = {pool.submit(play, seed) for seed in itertools.islice(ahead, jobs)}
    while playing:
        done, playing = wait(playing, return_when=FIRST_COMPLETED)
        playing |= {pool.submit(play, seed) for seed in itertools.islice(ahead, len(done))}
        for each in done:
            yield each.result()


def _play_one(seed: int, quiet: Quiet, zygote: Zygote, keep: Path | None = None) -> Outcome | Moved | str:
    """What it came to, or what was wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            if moves(seed):
                return play_fleet(schedule_of(seed), seed, Path(folder), zygote, quiet.moved.results)
            outcome = play(seed, Path(folder), zygote)
            check(outcome, quiet.one)
        except Exception:  # noqa: BLE001 - told, and the others are played
            told = [Path(folder, name) for name in ("did", "worker.err")]
            if keep is not None:
                shutil.copytree(folder, keep / str(seed), dirs_exist_ok=True)
            return traceback.format_exc() + "\n".join(each.read_text()[-20_000:] for each in told if each.exists())
    return outcome


def _ending(outcome: Outcome | Moved) -> str:
    if isinstance(outcome, Moved):
        forks = len(outcome.statuses) - 1
        words = ["moved", *(["asked"] if outcome.asked else []), *(["forked"] if forks else [])]
        cancelled = "cancelled" in outcome.statuses.values()
        return " and ".join([*words, "was cancelled" if cancelled else "came to the same answer"])
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
    parser.add_argument("--minutes", type=float, help="how long to begin new ones; what was begun is finished")
    parser.add_argument("--keep", type=Path, help="where to keep the files of those that failed")
    parser.add_argument("--only", choices=("one", "two"), help="only schedules of so many devices")
    args = parser.parse_args()
    began = time.monotonic()
    zygote = Zygote()
    try:
        if _MEMORY.is_dir() and "TMPDIR" not in os.environ:
            tempfile.tempdir = str(_MEMORY)
        with tempfile.TemporaryDirectory() as folder:
            quiet = undisturbed(Path(folder), zygote)
        of = {"one": (False,), "two": (True,)}.get(args.only, (False, True))
        seeds: Iterable[int] = itertools.islice(
            (seed for seed in itertools.count(args.seed) if moves(seed) in of), args.schedules
        )
        if args.minutes is not None:
            seeds = _until(began + args.minutes * 60, seeds)
        counts = play_all(seeds, quiet, zygote, lambda line: print(line, flush=True), args.jobs, args.keep)
    finally:
        zygote.close()
    print(", ".join(f"{number} {name}" for name, number in counts.most_common()), f"; {time.monotonic() - began:.0f} s", sep="")
    return min(counts["failed"], 100)


if __name__ == "__main__":
    sys.exit(main())
