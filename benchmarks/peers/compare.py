"""Other engines on the same graphs, each in a process of its own beside ours; one that is not installed is skipped, aloud."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from benchmarks import ours
from benchmarks.measure import ROOT, Row, Sample, Series, check, one_core, per, ratio, timed
from benchmarks.workloads import Workload, chain, document, named

__all__ = ["HOME", "NAMES", "NoAnswer", "Peer", "compare", "opened"]

HOME: Final = "GRAPHFERRY_PEERS"
"""The variable that names the folder where the peers are installed."""

NAMES: Final = ("hamilton", "langgraph", "burr", "dbos", "graphai")

_THREADED: Final = frozenset({"graphai", "dbos"})
"""Peers whose own threads need a core beside ours. The others take turns with us on one core."""

_KINDS: Final = ("chain", "fan", "layered", "map", "loop")
_PATIENCE: Final = 120.0
_UNTIL_COMPILED: Final = 60
"""Runs after which node's just-in-time compiler has done its work."""

_TIMES_PYTHON, _TIMES_GRAPHAI_CPU, _TIMES_GRAPHAI_WALL = 8, 3, 2.5

_DURABLE: Final = {
    "normal": {"burr": 3.0, "langgraph": 30.0},
    "default": {"burr": 2.5, "langgraph": 4.0, "dbos": 8.0},
}
"""How many times a peer's durable nodes a second ours are to be: with the peer set to WAL and NORMAL, and as it comes, which is FULL."""


class NoAnswer(Exception):
    """A peer cannot do this, or is not there."""


class Peer:
    """One peer's process. It is asked a line and answers a line."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.core = nullcontext if name in _THREADED else one_core
        """Where it runs, and we beside it."""
        command = [str(home / "bin" / "python"), "-m", "benchmarks.peers.worker", name]
        if name == "graphai":
            command = ["node", "--expose-gc", str(ROOT / "benchmarks" / "peers" / "graphai.mjs")]
        try:
            with self.core():
                self._process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, HOME: str(home)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
        except OSError as error:
            raise NoAnswer(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            self.version: str = self._read()["version"]
        except NoAnswer:
            self.close()
            raise

    def sample(self, name: str, workload: Workload) -> Sample:
        """Run a workload once. Raises NoAnswer."""
        return self._sample({"workload": name, "document": document(workload) if self.name == "graphai" else None}, workload)

    def keep(self, workload: Workload, mode: str, folder: str) -> Sample:
        """Run a chain with every result on disk before the next node. Raises NoAnswer."""
        return self._sample({"keep": workload.count, "mode": mode, "folder": folder}, workload)

    def chat(self, turns: int, size: int, folder: str) -> Sample:
        """Run a loop in which a chat grows by two messages a turn, every turn on disk. Raises NoAnswer."""
        workload = Workload("loop", f"a chat of {turns:,} turns", turns, 2 * turns * size, size=turns)
        return self._sample({"chat": turns, "size": size, "folder": folder}, workload)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it ended before
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _sample(self, request: dict[str, Any], workload: Workload) -> Sample:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise NoAnswer("its process has ended") from None
        answer = self._read()
        check(f"{self.version}, {workload.title}", answer["answer"], workload.answer)
        return Sample(answer["cpu"], answer["wall"])

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        alarm = threading.Timer(_PATIENCE, self._process.kill)
        alarm.start()
        try:
            line = self._process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            raise NoAnswer(f"its process ended, or said nothing for {_PATIENCE:.0f} s")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NoAnswer(answer["error"])
        return answer


@contextmanager
def opened(names: Sequence[str]) -> Iterator[list[Peer]]:
    """The processes of these peers; one that is not installed is skipped, aloud."""
    home = Path(os.environ.get(HOME, ROOT / ".peers"))
    with ExitStack() as stack:
        peers: list[Peer] = []
        for name in names:
            try:
                peers.append(Peer(name, home))
            except NoAnswer as error:
                print(f"skipped {name}: {error} (looked in {home}; see benchmarks/peers/README.md)", file=sys.stderr)
            else:
                stack.callback(peers[-1].close)
        yield peers


def compare(names: Sequence[str], nodes: int, repeats: int) -> Iterator[Row]:
    """A row for each workload and peer: how many times our time it takes."""
    with opened(names) as peers:
        for kind in _KINDS:
            yield from _computing(f"{kind}{nodes}", [peer for peer in peers if peer.name != "dbos"], repeats)
        for mode, goals in _DURABLE.items():
            # as many as are measured against plain sqlite3: fewer where each waits for the disk
            yield from _keeping(
                chain(nodes if mode == "normal" else min(nodes, 200)),
                mode,
                goals,
                [peer for peer in peers if peer.name in goals],
                repeats,
            )


def _computing(name: str, peers: Sequence[Peer], repeats: int) -> Iterator[Row]:
    workload = named(name)
    mine = timed(workload.title, ours.runner(workload), workload.answer)
    for peer in peers:
        graphai = peer.name == "graphai"
        try:
            for _ in range(_UNTIL_COMPILED if graphai else 0):
                peer.sample(name, workload)
            with peer.core():
                pairs = [(asyncio.run(mine()), peer.sample(name, workload)) for _ in range(repeats + 1)][1:]
        except NoAnswer as error:
            print(f"skipped {peer.version}, {workload.title}: {error}", file=sys.stderr)
            continue
        own, others = [each for each, _ in pairs], [each for _, each in pairs]
        yield _row(workload, f"{peer.version}, CPU", own, others, 0, _TIMES_GRAPHAI_CPU if graphai else _TIMES_PYTHON)
        if graphai:  # its engine's helper threads make CPU time look worse than what a user waits for
            yield _row(workload, f"{peer.version}, time passed", own, others, 1, _TIMES_GRAPHAI_WALL)


def _row(workload: Workload, what: str, own: Series, others: Series, clock: int, must: float) -> Row:
    mine, theirs = [each[clock] for each in own], [each[clock] for each in others]
    texts = f"{per(mine, workload.count):.2f} us/node", f"{per(theirs, workload.count):.1f}"
    return Row(f"{workload.title}: {what}", *texts, ratio(theirs, mine), "x", must, at_least=True)


def _keeping(workload: Workload, mode: str, goals: dict[str, float], peers: Sequence[Peer], repeats: int) -> Iterator[Row]:
    for peer in peers:
        try:
            with peer.core():
                pairs = [(_kept(workload, mode), _kept(workload, mode, peer)) for _ in range(repeats + 1)][1:]
        except NoAnswer as error:
            print(f"skipped {peer.version}, every node durable: {error}", file=sys.stderr)
            continue
        mine, theirs = zip(*pairs, strict=True)
        rates = [f"{workload.count / statistics.median(side):,.0f}" for side in (mine, theirs)]
        settings = "WAL NORMAL" if mode == "normal" else "FULL, as it comes"
        title = f"every node durable, {settings}: {peer.version}"
        yield Row(title, f"{rates[0]} nodes/s", rates[1], ratio(theirs, mine), "x", goals[peer.name], at_least=True)


def _kept(workload: Workload, mode: str, peer: Peer | None = None) -> float:
    """Seconds of a durable run, the peer's or ours."""
    with tempfile.TemporaryDirectory() as folder:
        if peer is not None:
            return peer.keep(workload, mode, folder).wall
        run = ours.kept(workload, Path(folder), synchronous="normal" if mode == "normal" else "full", strict=True)
        return asyncio.run(run).seconds
