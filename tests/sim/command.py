"""The command: `python -m tests.sim --seed N` plays one schedule, `--count N` many; what fails is made smaller and printed."""

from __future__ import annotations

import argparse
import collections
import time
import traceback
from collections.abc import Sequence

import yaml

from sim.play import Outcome, Scenario, play, scenario_of
from sim.shrink import shrunk

__all__ = ["described", "main"]


def main(words: Sequence[str] | None = None) -> int:
    """Plays the schedules; the number of those that failed, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many")
    parser.add_argument("--most", type=int, default=10, help="failures after which to stop")
    parser.add_argument("--trace", action="store_true", help="print what happened, one event a line")
    parser.add_argument("--whole", action="store_true", help="do not make failing schedules smaller")
    args = parser.parse_args(words)
    failed, counts, began = 0, collections.Counter[str](), time.process_time()
    for seed in range(args.seed, args.seed + args.count):
        scenario, outcome = scenario_of(seed), Outcome()
        try:
            play(scenario, outcome)
        except AssertionError as error:
            failed += 1
            print(f"seed {seed} FAILED: {error}\n    python -m tests.sim --seed {seed}", flush=True)
            if not args.whole:
                scenario = shrunk(scenario)
            print(described(scenario), flush=True)
            if args.count == 1:
                outcome = Outcome()
                try:
                    play(scenario, outcome)
                except AssertionError:
                    traceback.print_exc()
        counts.update(outcome.statuses.values())
        counts.update(f"{fault.kind} struck" for fault in outcome.struck)
        if args.trace:
            print("\n".join(" ".join(map(str, words)) for words in outcome.told if words[1] != "bytes"))
        if args.count == 1:
            print(f"seed {seed}: {outcome.statuses}, {outcome.seconds:,.1f} virtual seconds, trace {outcome.trace}")
        if failed >= args.most:
            break
    took = time.process_time() - began
    print(f"{args.count} schedules, {failed} failed, {1000 * took / args.count:.0f} ms CPU each; {_words(counts)}")
    return min(failed, 100)


def described(scenario: Scenario) -> str:
    """What is left of a scenario, for people."""
    lines = [f"    workers: {scenario.workers}"]
    for name, graph, durable, every in zip(scenario.devices, scenario.graphs, scenario.durable, scenario.all, strict=True):
        text = yaml.safe_dump(graph, sort_keys=False, default_flow_style=None, width=140)
        lines.append(f"    {name}: durable node by node: {durable}, all values: {every}")
        lines += [f"        {line}" for line in text.splitlines()]
    lines += [f"    fault: {fault}" for fault in scenario.faults]
    return "\n".join(lines)


def _words(counts: collections.Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())
