"""A run is killed at every boundary between two of its records, and gone on with: the results are the same, what was finished is not done again, and
what must not be repeated is not.

The run has a loop, a map and a nested graph whose nodes are here and at a worker by turns, retries, and nodes with effects on both sides. Device and
worker are real processes that end by SIGKILL the moment their journal has made so many records durable.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.zygote import Process, Zygote
from graphs.records import Result
from logbook import entries

AGENTS = '''
import hashlib, json, os, signal
from pathlib import Path

from graphferry import agent
from graphs.journal import Journal

HERE = Path(__file__).parent
LIMIT = int(os.environ.get("DIES_AFTER", "0"))
OPEN = Journal.open.__func__


def dying(cls, path, **options):
    """A journal whose process dies once so many records are durable."""
    journal = OPEN(cls, path, **options)
    heads, total = {}, 0

    def count(grown):
        nonlocal total
        for log, last in grown.items():
            total += last - heads.setdefault(log, journal_start.get(log, 0))
            heads[log] = last
        if total >= LIMIT:
            os.kill(os.getpid(), signal.SIGKILL)

    journal_start = {(head.run, head.writer): head.last for head in journal.heads()}
    journal.on_durable(count)
    return journal


if LIMIT:
    Journal.open = classmethod(dying)


def say(word, context, value=None):
    line = json.dumps([word, context.path, context.key.hex(), value]) + "\\n"
    log = os.open(HERE / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, line.encode())
    finally:
        os.close(log)


def value_of(context):
    told = json.dumps([context.node_id, context.inputs], sort_keys=True)
    return {"of": context.node_id, "sum": hashlib.sha256(told.encode()).hexdigest()[:8]}


@agent("workAgent", effect="none")
async def work(context):
    say("work", context)
    return value_of(context)


@agent("flakyAgent", effect="none")
async def flaky(context):
    """Fails at the first attempt, always."""
    say("work", context, context.retry)
    if context.retry == 0:
        raise ValueError("once more, please")
    return value_of(context)


@agent("deedAgent", effect="once")
async def deed(context):
    """What must never happen twice."""
    value = value_of(context)
    say("deed", context, value)
    return value
'''

GRAPH = """\
version: 0.5
loop: {count: 2}
nodes:
  state: {value: {sum: begin}, update: :last}
  first: {agent: workAgent, place: edge, inputs: {x: :state.sum}}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2], x: :first.sum}
    graph:
      nodes:
        far: {agent: workAgent, place: cloud, inputs: {x: :row, y: :x}}
        near: {agent: workAgent, place: edge, isResult: true, inputs: {x: :far.sum}}
  inside:
    agent: nestedAgent
    inputs: {x: :first.sum}
    graph:
      nodes:
        flaky: {agent: flakyAgent, place: edge, retry: 1, inputs: {x: :x}}
        again: {agent: flakyAgent, place: cloud, retry: 1, inputs: {x: :flaky.sum}}
        done: {agent: deedAgent, place: edge, isResult: true, inputs: {x: :again.sum}}
  paid: {agent: deedAgent, place: cloud, inputs: {x: :inside.done.sum}}
  told: {agent: workAgent, place: cloud, inputs: {x: :paid.sum, y: :rows}}
  last: {agent: deedAgent, place: edge, isResult: true, inputs: {x: :told.sum}}
"""


PARTS = 3
"""Every boundary is in one of so many tests."""


class World:
    """A folder, a home, and processes in them."""

    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self.zygote, self.folder, self.home = zygote, folder, folder / "home"
        (self.home / "edge").mkdir(parents=True)
        (self.home / "edge" / "config.yaml").write_text("cloud: {grace: 0.1}\n", encoding="utf-8")
        (folder / "crash_agents.py").write_text(AGENTS, encoding="utf-8")
        (folder / "g.yaml").write_text(GRAPH, encoding="utf-8")
        (folder / "worker.yaml").write_text("models: {}\n", encoding="utf-8")
        self.told = ""

    def start(self, *words: str, dies_after: int = 0) -> Process:
        variables = {"GRAPHFERRY_HOME": str(self.home), "DIES_AFTER": str(dies_after)}
        return self.zygote.start([*words, "--agents", "crash_agents.py"], self.folder, variables)

    @contextmanager
    def worker(self, *, dies_after: int = 0) -> Iterator[str]:
        process = self.start("serve", "--config", "worker.yaml", "--port", "0", dies_after=dies_after)
        try:
            yield process.stdout.readline().strip()
        finally:
            process.signal(9)
            process.wait()
            process.close()

    def device(self, *words: str, dies_after: int = 0) -> tuple[int, dict[str, Any]]:
        """A command to its end: exit status and its report, empty if it died."""
        process = self.start(*words, "--json", "--progress", "quiet", "--durability", "node", dies_after=dies_after)
        try:
            out = process.stdout.read()
            assert process.stderr is not None
            self.told = process.stderr.read()
            return process.wait(), json.loads(out) if out.strip() else {}
        finally:
            process.close()

    def said(self) -> list[tuple[str, str, str, Any]]:
        file = self.folder / "said"
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def durable(self, side: str) -> set[str]:
        """The paths whose results are durable there."""
        if not (self.home / side / "journal.db").exists():
            return set()
        return {record.path for _, _, record in entries(self.home, side) if isinstance(record, Result)}

    def run_of(self) -> str | None:
        if not (self.home / "edge" / "journal.db").exists():
            return None
        rows = {row.run.hex() for row, _, _ in entries(self.home, "edge") if row.role == "root"}
        return rows.pop() if rows else None

    def go_on(self, url: str) -> dict[str, Any]:
        """Resume until it is complete, deciding about nodes in doubt as a person would who can look."""
        run = self.run_of()
        assert run is not None
        words: list[str] = []
        for _ in range(12):
            status, report = self.device("resume", run, "--cloud", url, *words)
            if status == 0:
                return report
            assert status == 3, self.told
            assert "RUN_CHANGED" not in [error["code"] for error in report["errors"].values()], "once is enough"
            doubtful = [path for path, error in report["errors"].items() if error["code"] == "NODE_INDETERMINATE"]
            happened = {path: value for word, path, _, value in self.said() if word == "deed"}
            words = []
            for path in doubtful:
                what = f"done:{json.dumps(happened[path])}" if path in happened else "rerun"
                words += ["--assume", f"{path}={what}"]
        raise AssertionError(f"it never completes: {self.told}")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    each = Zygote()
    yield each
    each.close()


@pytest.fixture(scope="module")
def quiet(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any]]:
    """The run undisturbed."""
    world = World(zygote, tmp_path_factory.mktemp("quiet"))
    with world.worker() as url:
        status, report = world.device("run", "g.yaml", "--cloud", url)
    assert status == 0, world.told
    return world, report


def records_of(world: World, side: str) -> int:
    return len(entries(world.home, side))


def check(
    world: World, report: dict[str, Any], quiet: World, expected: dict[str, Any], before: Counter[str], kept: set[str]
) -> None:
    assert report["results"] == expected["results"]
    said = world.said()
    counts = Counter(path for _, path, _, _ in said)
    usual = Counter(path for _, path, _, _ in quiet.said())
    assert counts.keys() == usual.keys(), "the same nodes ran"
    assert {path for path in kept if counts[path] > before[path]} == set(), "what was finished ran again"
    deeds = Counter(path for word, path, _, _ in said if word == "deed")
    assert set(deeds.values()) == {1}, "a deed was done twice"
    repeated = {path for path in counts if counts[path] > usual[path]}
    assert len(repeated) <= 4, f"more was repeated than can have been in flight: {repeated}"
    keys: dict[str, set[str]] = {}
    for _, path, key, _ in said:
        keys.setdefault(path, set()).add(key)
    assert all(len(each) == 1 for each in keys.values()), "an execution had two keys"
    shown = [
        record.path for row, _, record in entries(world.home, "edge") if isinstance(record, Result) and not record.by.get("alt")
    ]
    assert max(Counter(shown).values()) == 1, "a path has two results"


def at_each(boundaries: range, folder: Path, zygote: Zygote, play: Callable[[World, int], bool]) -> int:
    """Plays each boundary in a world of its own, a few at a time; how many of them a process died at."""

    def one(number: int) -> bool:
        place = folder / str(number)
        place.mkdir()
        world = World(zygote, place)
        try:
            return play(world, number)
        except BaseException:
            print(f"boundary {number} of {boundaries}: {world.told}")
            raise

    with ThreadPoolExecutor(3) as pool:
        return sum(pool.map(one, boundaries))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 1 + PARTS))
def test_the_device_dies_at_every_boundary(
    zygote: Zygote, quiet: tuple[World, dict[str, Any]], tmp_path: Path, first: int
) -> None:
    undisturbed, expected = quiet

    def play(world: World, number: int) -> bool:
        with world.worker() as url:
            status, report = world.device("run", "g.yaml", "--cloud", url, dies_after=number)
            assert status in (-9, 0)  # 0: the last records were one commit
            before, kept = Counter(path for _, path, _, _ in world.said()), world.durable("edge")
            if status != 0:
                report = world.go_on(url)
        check(world, report, undisturbed, expected, before, kept)
        return status != 0

    boundaries = range(first, records_of(undisturbed, "edge"), PARTS)  # after the last one nothing is left
    assert at_each(boundaries, tmp_path, zygote, play) > 10


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 1 + PARTS))
def test_the_worker_dies_at_every_boundary(
    zygote: Zygote, quiet: tuple[World, dict[str, Any]], tmp_path: Path, first: int
) -> None:
    undisturbed, expected = quiet

    def play(world: World, number: int) -> bool:
        with world.worker(dies_after=number) as url:
            status, report = world.device("run", "g.yaml", "--cloud", url)
        before, kept = Counter(path for _, path, _, _ in world.said()), world.durable("edge")
        if status != 0:
            assert status in (3, 4)
            with world.worker() as url:
                report = world.go_on(url)
        check(world, report, undisturbed, expected, before, kept)
        return status != 0

    boundaries = range(first, records_of(undisturbed, "cloud"), PARTS)
    assert at_each(boundaries, tmp_path, zygote, play) > 5


@pytest.mark.slow
def test_it_dies_again_and_again_while_it_is_resumed(zygote: Zygote, quiet: tuple[World, dict[str, Any]], tmp_path: Path) -> None:
    undisturbed, expected = quiet
    world = World(zygote, tmp_path)
    with world.worker() as url:
        status, _ = world.device("run", "g.yaml", "--cloud", url, dies_after=3)
        deaths = 0
        while status == -9:
            run = world.run_of()
            assert run is not None
            before, kept = Counter(path for _, path, _, _ in world.said()), world.durable("edge")
            status, _ = world.device("resume", run, "--cloud", url, dies_after=4)
            counts = Counter(path for _, path, _, _ in world.said())
            assert {path for path in kept if counts[path] > before[path]} == set()
            deaths += 1
            if status == 3:
                break  # a deed was in flight: a person decides
            assert deaths < 60
        report = world.go_on(url) if status != 0 else expected
    assert deaths > 3
    check(world, report, undisturbed, expected, Counter(), set())
