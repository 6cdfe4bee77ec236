"""The journal: what a run takes on disk and in time, beside LangGraph's SQLite checkpoints and DBOS, and how long it takes to go on with one.

    python -m benchmarks.journal [--smoke] [--repeats N] [--peers langgraph,dbos] [--json FILE] [--write]

Bytes are those of all files that a run leaves, once they are closed. Runs take turns with the peers' in one go; every answer is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file: the package is its folder's

from benchmarks import ours
from benchmarks.ferried_chat import ferried_chat
from benchmarks.measure import ROOT, Row, WrongAnswer, check, machine, ratio, table, write_section
from benchmarks.peers.compare import NoAnswer, Peer, opened
from benchmarks.workloads import chain, document, layered

__all__ = ["FULL", "SMOKE", "Sizes", "main", "measure"]

_PEERS: Final = "langgraph,dbos"

_READING: Final = """\
Bytes are those of all files that the run leaves. Each result holds the whole chat, as those of `llmAgent` do; LangGraph has it in a channel
with a reducer, DBOS in the workflow, whose steps give only what is new. Times are those that passed: FULL, as each comes, with every node
durable before the next for the chain, and many results a commit for our chat. Going on is a whole `graphferry resume` in a process of its own:
start, imports of what Python has compiled before, reading the journal, the run's last node. At a worker, the chat crosses the link as it is before
each turn and after it, from 64 KiB on as a body of its own; a question that is asked on the device is in its own log and in what the worker is told
as well, hence the more. Messages are letters at random, in which deflate, which records and bodies are kept with, finds little: real ones take less.
`bound` is the peer; a ratio says how many times ours it is."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    repeats: int
    nodes: int = 500
    turns: int = 200
    letters: int = 1000
    resumed: int = 10_000


FULL: Final = Sizes(repeats=5)
SMOKE: Final = Sizes(repeats=1, nodes=10, turns=8, letters=200, resumed=200)


def measure(sizes: Sizes, peers: Sequence[Peer]) -> Iterator[Row]:
    """All rows, one after the other as they are measured. Raises WrongAnswer where an answer is wrong."""
    yield from _nodes(sizes, peers)
    yield from _chat(sizes, peers)
    yield from _ferried(sizes)
    yield from _going_on(sizes)


def _nodes(sizes: Sizes, peers: Sequence[Peer]) -> Iterator[Row]:
    workload = chain(sizes.nodes)
    own: list[tuple[float, int]] = []
    theirs: dict[str, list[tuple[float, int]]] = {peer.name: [] for peer in peers}
    lost: set[str] = set()
    for _ in range(sizes.repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            kept = asyncio.run(ours.kept(workload, Path(folder), synchronous="full", strict=True))
            check("a run with a journal", kept.answer, workload.answer)
            own.append((kept.seconds, _bytes(folder)))
        for peer in peers:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    seconds = peer.keep(workload, "default", folder).wall
                except NoAnswer as error:
                    _skipped(peer, workload.title, error, lost)
                    continue
                theirs[peer.name].append((seconds, _bytes(folder)))
    size = own[-1][1] / workload.count
    spent = _microseconds(own, workload.count)
    yield Row(f"{workload.title}: bytes", f"{size:,.0f} bytes/node", "-", size, "bytes", 200, 120)
    for peer in peers:
        if peer.name in lost:
            continue
        other = theirs[peer.name][-1][1] / workload.count
        title = f"{workload.title}: {peer.version}"
        yield Row(f"{title}, bytes", f"{size:,.0f} bytes/node", f"{other:,.0f}", other / size, "x", 2, 10, at_least=True)
        times = ratio([each[0] for each in theirs[peer.name][1:]], [each[0] for each in own[1:]])
        bound = f"{_microseconds(theirs[peer.name], workload.count):,.0f}"
        yield Row(f"{title}, time", f"{spent:,.0f} us/node", bound, times, "x", 2, at_least=True)


def _chat(sizes: Sizes, peers: Sequence[Peer]) -> Iterator[Row]:
    turns, letters = sizes.turns, sizes.letters
    with tempfile.TemporaryDirectory() as folder:
        answer, seconds, values = asyncio.run(ours.chatted(turns, letters, Path(folder)))
        check("a chat", answer, 2 * turns * letters)
        size = _bytes(folder)
    with tempfile.TemporaryDirectory() as folder:
        half = asyncio.run(ours.chatted(turns // 2, letters, Path(folder)))
        growth = size / _bytes(folder)
        check("half a chat", half[0], 2 * (turns // 2) * letters)
    title = f"chat of {turns:,} turns"
    own = f"{size / 1e6:.2f} MB"
    yield Row(f"{title}: bytes beside the messages' own", own, f"{values / 1e6:.2f} MB", size / values, "x", 3, 2)
    yield Row(f"{title}: bytes beside half as many", own, "-", growth, "x", 2.2)
    yield Row(f"{title}: time", f"{seconds * 1e3:,.0f} ms", "-", seconds / turns * 1e6, "us/turn")
    lost: set[str] = set()
    for peer in peers:
        with tempfile.TemporaryDirectory() as folder:
            try:
                took = peer.chat(turns, letters, folder).wall
            except NoAnswer as error:
                _skipped(peer, title, error, lost)
                continue
            other = _bytes(folder)
        yield Row(f"{title}: {peer.version}, bytes", own, f"{other / 1e6:.2f} MB", other / size, "x")
        yield Row(f"{title}: {peer.version}, time", f"{seconds * 1e3:,.0f} ms", f"{took * 1e3:,.0f} ms", took / seconds, "x")


def _ferried(sizes: Sizes) -> Iterator[Row]:
    """The same chat, made at a worker: a loop that is there as a whole, and one that asks on the device and answers there."""
    turns, letters = sizes.turns, sizes.letters
    for whole, where in ((True, "at a worker"), (False, "asked here, answered at a worker")):
        found = []
        for count in (turns // 2, turns):
            with tempfile.TemporaryDirectory() as folder:
                done = asyncio.run(ferried_chat(count, letters, Path(folder), whole=whole))
            check("a chat at a worker", done.letters, 2 * count * letters)
            found.append(done)
        half, full = found
        title = f"chat of {turns:,} turns, {where}"
        for side, word in (("edge", "the device"), ("cloud", "the worker")):
            size = full.sides[side]
            own = f"{size / 1e6:.2f} MB"
            yield Row(
                f"{title}: bytes on {word} beside the messages' own",
                own,
                f"{full.values / 1e6:.2f} MB",
                size / full.values,
                "x",
                3.0,
            )
            yield Row(f"{title}: bytes on {word} beside half as many", own, "-", size / half.sides[side], "x", 2.2)
        yield Row(f"{title}: time", f"{full.seconds * 1e3:,.0f} ms", "-", full.seconds / turns * 1e6, "us/turn")


_AGENTS: Final = """\
from pathlib import Path

from benchmarks.workloads import step
from graphferry import agent


@agent("add", effect="none")
def add(context):
    return step(context.inputs["vals"])


@agent("last", effect="none")
def last(context):
    if not Path(__file__).with_name("go").exists():
        raise ValueError("not yet")
    return context.inputs["of"]["v"]
"""


def _going_on(sizes: Sizes) -> Iterator[Row]:
    workload = layered(sizes.resumed)
    graph = document(workload)
    last = workload.outputs[-1]
    graph["nodes"]["end"] = {"agent": "last", "inputs": {"of": f":{last}"}, "isResult": True}
    for name in workload.outputs:
        del graph["nodes"][name]["isResult"]
    took, spent = [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "graph.yaml").write_text(json.dumps(graph))
        (place / "agents.py").write_text(_AGENTS)
        for _ in range(sizes.repeats + 1):
            (place / "go").unlink(missing_ok=True)
            told = _graphferry(place, "run", "graph.yaml", "--agents", "agents.py", "--json", "--progress", "quiet")
            run = json.loads(told)["run"]
            (place / "go").touch()
            began, cpu = time.perf_counter(), _children_cpu()
            report = json.loads(_graphferry(place, "resume", run, "--json", "--progress", "quiet"))
            took.append(time.perf_counter() - began)
            spent.append(_children_cpu() - cpu)
            if report["status"] != "completed" or len(report["nodes"]) != workload.count + 1:
                raise WrongAnswer(f"the resumed run is {report['status']}, with {len(report['nodes'])} nodes")
    seconds, cpu_seconds = statistics.median(took[1:]), statistics.median(spent[1:])
    title = f"going on with a run of {workload.count:,} nodes"
    yield Row(f"{title}: time", f"{seconds:.2f} s", "-", seconds, "s", 1.0)
    yield Row(f"{title}: CPU time", f"{cpu_seconds:.2f} s", "-", cpu_seconds, "s", 1.0)


def _graphferry(folder: Path, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled")}  # as where it is installed; the first round fills it
    environment = {**kept, **compiled, "GRAPHFERRY_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "graphferry", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise WrongAnswer(f"graphferry {words[0]} said nothing but {done.stderr.strip()}")
    return done.stdout


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _microseconds(samples: Sequence[tuple[float, int]], count: int) -> float:
    return statistics.median(seconds for seconds, _ in samples[1:]) / count * 1e6


def _skipped(peer: Peer, what: str, error: NoAnswer, lost: set[str]) -> None:
    if peer.name not in lost:
        print(f"skipped {peer.version}, {what}: {error}", file=sys.stderr)
    lost.add(peer.name)


# -- the command


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.journal", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once: shows that it works, measures nothing")
    parser.add_argument("--repeats", type=int, metavar="N", help=f"rounds ({FULL.repeats})")
    parser.add_argument("--peers", default="", metavar="NAMES", help=f"compare with {_PEERS}; see benchmarks/peers/README.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as data")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    sizes = SMOKE if options.smoke else FULL
    if options.repeats:
        sizes = replace(sizes, repeats=options.repeats)
    where = machine()
    rows = []
    with opened(options.peers.split(",") if options.peers else []) as peers:
        for each in measure(sizes, peers):
            row = replace(each, must=None, stretch=None) if options.smoke else each
            print("  ".join(row.cells()), file=sys.stderr)
            rows.append(row)
    print(table(rows), end="\n\n")
    if options.smoke:
        print("Every answer was right. Sizes as small as these say nothing about speed.")
    if options.json:
        options.json.write_text(json.dumps({"machine": where, "rows": [row.plain() for row in rows]}, indent=1) + "\n")
    if options.write:
        command = " ".join(["python -m benchmarks.journal", *(["--peers", options.peers] if options.peers else []), "--write"])
        text = f"## Journal\n\n`{command}`, {time.strftime('%Y-%m-%d')}, on {where}\n\n{table(rows)}\n\n{_READING}"
        write_section(ROOT / "benchmarks" / "RESULTS.md", "journal", text)


if __name__ == "__main__":
    main()
