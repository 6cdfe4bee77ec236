"""The engine against plain asyncio and plain sqlite3: every goal taken as a ratio in one run.

    python -m benchmarks.engine [--smoke] [--repeats N] [--peers hamilton,langgraph,...] [--json FILE] [--write]

Runs and their bounds take turns in one process, on one core, after a warm-up, garbage collected before each; every answer is checked
against one computed without an engine. What computes is judged by CPU time, which a busy machine disturbs little; what sleeps or writes by
the time that passed.
Our runs have all that a run of the product has: node states, stamps, the log in memory, the table of results.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file: the package is its folder's

from benchmarks import bounds, ours
from benchmarks.measure import (
    ROOT,
    Row,
    Sample,
    Sampler,
    Series,
    check,
    fresh,
    interleave,
    machine,
    one_core,
    per,
    ratio,
    table,
    timed,
    write_section,
)  # fmt: skip
from benchmarks.peers.compare import NAMES as PEERS, compare
from benchmarks.workloads import Workload, chain, document, fan, handed_on, layered, looped, mapped

__all__ = ["FULL", "SMOKE", "Sizes", "main", "measure"]

_PAUSE: Final = 0.005

_READING: Final = """\
`bound` is plain asyncio with a task a node, or what stands in brackets. Ratios are medians of the ratios between neighbouring runs: of CPU
time where something computes, of the time that passed where it sleeps or writes. `met` says whether a goal is reached, or even the stretch
goal. Where nothing is said, agents are async functions that do not suspend, and the graph has the default concurrency limit; graphs whose
nodes suspend have none, as the bound has none."""

_READING_PEERS: Final = """\
`bound` is the peer, the ratio how many times our time it takes: CPU time of its process for what computes, the time that passed for what
lasts. Both take turns on one core, but for GraphAI and DBOS, which have threads of their own. GraphAI has run each graph 60 times before,
for node to compile it; building its graph, which every run needs, is left out."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. `large` nodes stand for a graph of any size; `few` are repeats of what takes long."""

    repeats: int
    few: int
    nodes: int = 1000
    large: int = 50_000
    blob: int = 10_000_000
    commits: int = 1000
    synced: int = 200
    short: float = 0.1
    long: float = 1.2


FULL: Final = Sizes(repeats=15, few=5)
SMOKE: Final = Sizes(repeats=1, few=1, nodes=100, large=500, blob=10_000, commits=20, synced=5, short=0.01, long=0.03)


def measure(sizes: Sizes) -> Iterator[Row]:
    """All rows, one after the other as they are measured. Raises WrongAnswer where an answer is wrong."""
    for rows in (
        _against_tasks,
        _suspending,
        _sleeping,
        _large_value,
        _branches,
        _growing,
        _building,
        _starting,
        _durable,
        _grouped,
    ):
        yield from rows(sizes)


# -- what computes


def _against_tasks(sizes: Sizes) -> Iterator[Row]:
    goals: Sequence[tuple[Callable[[int], Workload], float, float]] = (
        (chain, 1.0, 0.6), (fan, 1.2, 0.8), (layered, 1.2, 0.8), (mapped, 0.7, 0.4), (looped, 0.6, 0.3),
    )  # fmt: skip
    for make, must, stretch in goals:
        workload = make(sizes.nodes)
        yield _computing(workload, sizes, must, stretch)
        yield _computing(workload, sizes, must, stretch, plain=True)


def _suspending(sizes: Sizes) -> Iterator[Row]:
    yield _computing(layered(sizes.nodes, pause=0), sizes, 1.6, 1.3)


def _computing(workload: Workload, sizes: Sizes, must: float, stretch: float, *, plain: bool = False) -> Row:
    mine, tasks = _side_by_side(workload, sizes.repeats, plain=plain)
    kind = ", each suspends once" if workload.pause == 0 else ", plain agents" if plain else ""
    return Row(
        workload.title + kind,
        f"{per(_cpu(mine), workload.count):.2f} us/node",
        f"{per(_cpu(tasks), workload.count):.2f}",
        ratio(_cpu(mine), _cpu(tasks)),
        "x",
        must,
        stretch,
    )


def _side_by_side(workload: Workload, repeats: int, *, plain: bool = False) -> list[Series]:
    """Ours and the bound's samples."""
    mine = timed(workload.title, ours.runner(workload, plain=plain), workload.answer)
    tasks = timed(f"{workload.title}, tasks", bounds.tasks(workload), workload.answer)
    with one_core():
        return asyncio.run(interleave([mine, tasks], repeats))


def _large_value(sizes: Sizes) -> Iterator[Row]:
    workload = handed_on(sizes.blob, 50)
    mine, tasks = _side_by_side(workload, sizes.repeats)
    each = per(_cpu(mine), workload.count)
    bound = f"{per(_cpu(tasks), workload.count):.2f}"
    yield Row(f"{workload.title} nodes, same object", f"{each:.2f} us/node", bound, each, "us", 15, 6)


def _growing(sizes: Sizes) -> Iterator[Row]:
    small, large = layered(sizes.nodes), layered(sizes.large)
    runs = [timed(each.title, ours.runner(each), each.answer) for each in (large, small)]
    tasks = timed("tasks", bounds.tasks(large), large.answer)
    many, few, theirs = asyncio.run(interleave([*runs, tasks], sizes.few))
    each, before = per(_cpu(many), large.count), per(_cpu(few), small.count)
    growth = ratio(_cpu(many), _cpu(few)) * small.count / large.count
    title = f"{large.count:,} nodes"
    yield Row(f"{title}: a node against {small.count:,}", f"{each:.2f} us/node", f"{before:.2f} (ours)", growth, "x", 1.3, 1.1)
    bound = f"{per(_cpu(theirs), large.count):.2f}"
    yield Row(f"{title}: against tasks", f"{each:.2f} us/node", bound, ratio(_cpu(many), _cpu(theirs)), "x")
    memory = fresh("large", str(sizes.large))
    parts = f"{memory['at_start']:.0f} at start, {memory['built']:.0f} built, {memory['mb']:.0f} MB run"
    yield Row(f"{title}: memory of the process", parts, "-", memory["mb"], "MB", 150, 100)


def _building(sizes: Sizes) -> Iterator[Row]:
    for count, repeats in ((sizes.nodes, sizes.repeats), (sizes.large, sizes.few)):
        workload = layered(count)
        made, agents = document(workload), ours.registry()

        async def build() -> int:
            plan, _ = ours.build(made, agents)  # noqa: B023 - runs before the loop goes on
            return len(plan.nodes)

        (series,) = asyncio.run(interleave([timed("build", build, count)], repeats))
        each = per(_cpu(series), count)
        yield Row(f"document to checked plan, {count:,} nodes", f"{each:.2f} us/node", "-", each, "us", 20, 10)


# -- what passes time


def _sleeping(sizes: Sizes) -> Iterator[Row]:
    workload = layered(sizes.nodes, pause=_PAUSE)
    mine, tasks = _side_by_side(workload, sizes.repeats)
    milliseconds = statistics.median(_wall(mine)) * 1000
    bound = f"{statistics.median(_wall(tasks)) * 1000:.1f}"
    title = f"{workload.title}, each sleeps 5 ms: makespan"
    yield Row(title, f"{milliseconds:.1f} ms", bound, ratio(_wall(mine), _wall(tasks)), "x", 1.05)
    ideal = f"{workload.count / 10:.0f} (ideal)"
    yield Row("the same against the ideal", f"{milliseconds:.1f} ms", ideal, milliseconds, "ms", stretch=118)


def _branches(sizes: Sizes) -> Iterator[Row]:
    mine, bound = [], []
    for _ in range(sizes.few):
        mine.append(asyncio.run(ours.dependent_start(sizes.short, sizes.long)))
        bound.append(asyncio.run(bounds.dependent_start(sizes.short, sizes.long)))
    seconds = statistics.median(mine)
    title = f"what depends on a {sizes.short:g} s branch beside one of {sizes.long:g} s starts after"
    yield Row(title, f"{seconds:.4f} s", f"{statistics.median(bound):.4f}", seconds, "s", sizes.short * 1.05)


def _starting(sizes: Sizes) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, one_core():
        rounds = range(sizes.few + 1)
        pairs = [(fresh("two_nodes", bytecode=folder), fresh("bare", bytecode=folder)) for _ in rounds][1:]  # the first compiles
    mine, bare = [each["cpu"] for each, _ in pairs], [each["cpu"] for _, each in pairs]
    text = f"{statistics.median(mine) * 1000:.0f} ms CPU"
    yield Row(
        "start, import and 2 nodes", text, f"{statistics.median(bare) * 1000:.0f} (asyncio)", ratio(mine, bare), "x", 1.8, 1.3
    )
    memory, least = (statistics.median(each["mb"] for each in side) for side in zip(*pairs, strict=True))
    yield Row("memory after 2 nodes", f"{memory:.1f} MB", f"{least:.1f} (asyncio)", memory, "MB", 32, 26)


# -- what lasts


def _durable(sizes: Sizes) -> Iterator[Row]:
    modes: Sequence[tuple[Literal["full", "normal"], int, int, float, float]] = (
        ("normal", sizes.commits, sizes.repeats, 0.5, 0.65), ("full", sizes.synced, sizes.few, 0.9, 1.0),
    )  # fmt: skip
    for synchronous, count, repeats, must, stretch in modes:
        workload = chain(count)
        strict, raw = asyncio.run(interleave([_keeping(workload, synchronous), _committing(count, synchronous)], repeats))
        rate, most = (count / statistics.median(_wall(series)) for series in (strict, raw))
        share = ratio(_wall(raw), _wall(strict))
        title = f"every node durable before the next, WAL {synchronous.upper()}"
        yield Row(title, f"{rate:,.0f} nodes/s", f"{most:,.0f} (sqlite3)", share, "x", must, stretch, at_least=True)


def _keeping(workload: Workload, synchronous: Literal["full", "normal"]) -> Sampler:
    async def sample() -> Sample:
        with tempfile.TemporaryDirectory() as folder:
            cpu = time.process_time()
            kept = await ours.kept(workload, Path(folder), synchronous=synchronous, strict=True)
        check("a run with a journal", kept.answer, workload.answer)
        check("the number of its records", kept.records, workload.count)
        check("the number of its commits", kept.commits, workload.count)
        return Sample(time.process_time() - cpu, kept.seconds)

    return sample


def _committing(count: int, synchronous: str) -> Sampler:
    async def sample() -> Sample:
        with tempfile.TemporaryDirectory() as folder:
            cpu = time.process_time()
            seconds = bounds.commits(Path(folder), count, synchronous)
        return Sample(time.process_time() - cpu, seconds)

    return sample


def _grouped(sizes: Sizes) -> Iterator[Row]:
    workload = chain(sizes.commits)
    runs: list[ours.Kept] = []
    for _ in range(sizes.repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            kept = asyncio.run(ours.kept(workload, Path(folder), synchronous="full", strict=False))
        check("a run with a journal", kept.answer, workload.answer)
        check("the number of its records", kept.records, workload.count)
        runs.append(kept)
    runs = runs[1:]
    rate = workload.count / statistics.median(each.seconds for each in runs)
    commits = statistics.median(each.commits for each in runs)
    added = max(each.barrier_commits for each in runs)
    title = f"many results a commit, WAL FULL, chain of {workload.count:,}"
    yield Row(title, f"{commits:.0f} commits a run", "-", rate, "nodes/s", 30_000, 80_000, at_least=True)
    yield Row("commits (fsyncs) that waiting for its end adds", f"at most {added}", "-", added, "commits", 2)


def _cpu(series: Series) -> list[float]:
    return [sample.cpu for sample in series]


def _wall(series: Series) -> list[float]:
    return [sample.wall for sample in series]


# -- the command


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once: shows that it works, measures nothing")
    parser.add_argument("--repeats", type=int, metavar="N", help=f"rounds of what is quick ({FULL.repeats})")
    parser.add_argument(
        "--peers", default="", metavar="NAMES", help=f"compare with {','.join(PEERS)}; see benchmarks/peers/README.md"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as data")
    parser.add_argument("--write", action="store_true", help="keep the tables in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    sizes = SMOKE if options.smoke else FULL
    if options.repeats:
        sizes = replace(sizes, repeats=options.repeats, few=min(options.repeats, sizes.few))
    where = machine()
    sections = {"engine": _told(measure(sizes), judged=not options.smoke)}
    if options.peers:
        sections["engine-peers"] = _told(compare(options.peers.split(","), sizes.nodes, sizes.few), judged=not options.smoke)
    for rows in sections.values():
        print(table(rows), end="\n\n")
    if options.smoke:
        print("Every answer was right. Sizes as small as these say nothing about speed.")
    if options.json:
        data = {"machine": where, "rows": {name: [row.plain() for row in rows] for name, rows in sections.items()}}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    if options.write:
        for name, rows in sections.items():
            write_section(ROOT / "benchmarks" / "RESULTS.md", name, _section(name, rows, where, options))


def _told(rows: Iterator[Row], *, judged: bool) -> list[Row]:
    """The rows, each told on standard error as soon as it is there; without their goals unless they are to be judged."""
    told = []
    for row in rows:
        row = row if judged else replace(row, must=None, stretch=None)
        print("  ".join(row.cells()), file=sys.stderr)
        told.append(row)
    return told


def _section(name: str, rows: Sequence[Row], where: str, options: argparse.Namespace) -> str:
    command = "python -m benchmarks.engine" + (f" --repeats {options.repeats}" if options.repeats else "")
    if name == "engine":
        title, reading = "Engine", _READING
    else:
        title, reading, command = "Engine against others", _READING_PEERS, f"{command} --peers {options.peers}"
    return f"## {title}\n\n`{command} --write`, {time.strftime('%Y-%m-%d')}, on {where}\n\n{table(rows)}\n\n{reading}"


if __name__ == "__main__":
    main()
