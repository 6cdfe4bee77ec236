"""The command: `python -m tests.sim --seed N` plays one schedule, `--count N` many; what fails is made smaller and printed.

Many are played in portions, by several processes if asked for: a schedule is the same in each of them. What was played is printed at the end,
or when Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import collections
import gc
import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import yaml

from sim.kinds import EVERY, KINDS, kind_of
from sim.play import Outcome, Scenario
from sim.shrink import shrunk

__all__ = ["described", "main"]

_PORTION: Final = 24
"""Schedules that a process plays before it says what they came to."""
_OFTEN: Final = 1_000
"""Schedules between two lines that say how far it is."""
_LIFE: Final = 100
"""Portions after which a process ends and another one goes on: what the library keeps of a hundred thousand worlds is given back."""


@dataclass
class _Played:
    """What some schedules came to: how many of which kind, what happened in them, and of those that failed seed, kind and text."""

    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    happened: collections.Counter[str] = field(default_factory=collections.Counter)
    failed: list[tuple[int, str, str]] = field(default_factory=list)
    seconds: float = 0.0
    """Of processor time, in all processes."""

    def add(self, other: _Played) -> None:
        self.kinds += other.kinds
        self.happened += other.happened
        self.failed += other.failed
        self.seconds += other.seconds


def main(words: Sequence[str] | None = None) -> int:
    """Plays the schedules; the number of those that failed, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many")
    parser.add_argument(
        "--kind", choices=[*KINDS, EVERY], default="plain", help="what they are schedules of; every: some of each"
    )
    parser.add_argument("--processes", type=int, default=1, help="how many play at the same time")
    parser.add_argument("--most", type=int, default=10, help="failures after which to stop")
    parser.add_argument("--trace", action="store_true", help="print what happened, one event a line; of one schedule")
    parser.add_argument("--whole", action="store_true", help="do not make failing schedules smaller")
    args = parser.parse_args(words)
    if args.count == 1:
        return _one(args.kind, args.seed, trace=args.trace, whole=args.whole)
    played = _Played()
    try:
        for portion in _portions(args):
            before = played.kinds.total()
            played.add(portion)
            for seed, name, text in portion.failed:
                print(f"seed {seed} FAILED: {text}\n    {_again(name, seed)}", flush=True)
            if played.kinds.total() // _OFTEN > before // _OFTEN:
                print(f"{played.kinds.total()} of {args.count} played, {len(played.failed)} failed", file=sys.stderr, flush=True)
            if len(played.failed) >= args.most:
                break
    except KeyboardInterrupt:
        print("interrupted; played until then:")
    _summarize(played)
    return min(len(played.failed), 100)


def described(scenario: Scenario) -> str:
    """What is left of a scenario, for people."""
    lines = [f"    workers: {scenario.workers}"]
    for name, graph, durable, every in zip(scenario.devices, scenario.graphs, scenario.durable, scenario.all, strict=True):
        text = yaml.safe_dump(graph, sort_keys=False, default_flow_style=None, width=140)
        lines.append(f"    {name}: durable node by node: {durable}, all values: {every}")
        lines += [f"        {line}" for line in text.splitlines()]
    lines += [f"    fault: {fault}" for fault in scenario.faults]
    return "\n".join(lines)


def _one(kind: str, seed: int, *, trace: bool, whole: bool) -> int:
    name, failed = kind_of(kind, seed), 0
    draw, play = KINDS[name]
    scenario, outcome = draw(seed), Outcome()
    try:
        play(scenario, outcome)
    except AssertionError as error:
        failed = 1
        print(f"seed {seed} FAILED: {error}\n    {_again(name, seed)}", flush=True)
        if not whole:
            scenario = shrunk(scenario, play)
        print(described(scenario), flush=True)
        outcome = Outcome()
        try:
            play(scenario, outcome)
        except AssertionError:
            traceback.print_exc()
    if trace:
        print("\n".join(" ".join(map(str, words)) for words in outcome.told if words[1] != "bytes"))
    print(f"seed {seed}: {outcome.statuses}, {outcome.seconds:,.1f} virtual seconds, trace {outcome.trace}")
    return failed


def _portions(args: argparse.Namespace) -> Iterator[_Played]:
    """Plays a portion of the seeds after another, several at the same time if there are several processes."""
    end = args.seed + args.count
    firsts = range(args.seed, end, _PORTION)
    portion = partial(_portion, end=end, kind=args.kind, whole=args.whole)
    if args.processes <= 1:
        yield from map(portion, firsts)
        return
    with multiprocessing.get_context("spawn").Pool(args.processes, maxtasksperchild=_LIFE) as pool:
        yield from pool.imap_unordered(portion, firsts)


def _portion(first: int, *, end: int, kind: str, whole: bool) -> _Played:
    played, began = _Played(), time.process_time()
    for seed in range(first, min(first + _PORTION, end)):
        name = kind_of(kind, seed)
        draw, play = KINDS[name]
        scenario, outcome = draw(seed), Outcome()
        try:
            play(scenario, outcome)
        except AssertionError as error:
            smaller = scenario if whole else shrunk(scenario, play)
            played.failed.append((seed, name, f"{error}\n{described(smaller)}"))
        played.kinds[name] += 1
        played.happened.update(outcome.statuses.values())
        played.happened.update(f"{fault.kind} struck" for fault in outcome.struck)
    gc.collect()
    played.seconds = time.process_time() - began
    return played


def _again(name: str, seed: int) -> str:
    return f"python -m tests.sim --kind {name} --seed {seed}"


def _summarize(played: _Played) -> None:
    count = played.kinds.total()
    print(f"{count} schedules, {len(played.failed)} failed, {1000 * played.seconds / max(1, count):.0f} ms CPU each")
    print(f"    kinds: {_words(played.kinds)}")
    print(f"    came to: {_words(played.happened)}")
    for seed, name, text in sorted(played.failed):
        print(f"    failed: {_again(name, seed)}  # {text.partition(chr(10))[0][:120]}")


def _words(counts: collections.Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())
