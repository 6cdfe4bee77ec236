"""What a crash, a file that may not grow, and a second process leave of a journal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from graphs.journal import Journal
from graphs.journal.reader import graph_address
from graphs.records import Result, encode

BODY = b"\x80"
HASH = graph_address(BODY)
RUN = bytes.fromhex("0190") + bytes(14)
LATER = bytes.fromhex("0191") + bytes(14)


def create(journal: Journal, run: bytes = RUN) -> None:
    journal.create_run(run, role="root", graph_hash=HASH, graph=BODY, name="news.yaml", started=1)
    journal.flush()


def append(journal: Journal, run: bytes = RUN) -> None:
    journal.append(run, encode(Result("node", 1, 0, {"number": journal.have(run) + 1}, 1, {})))


def numbers(journal: Journal, run: bytes = RUN) -> list[int]:
    """The whole log, which must count from 1 without a gap."""
    found = [entry.record.value["number"] for entry in journal.records(run) if isinstance(entry.record, Result)]
    assert found == list(range(1, len(found) + 1))
    return found


CHILD = """
import asyncio, random, resource, sys
from graphs.journal import Journal
from graphs.records import Result, encode

path, seed, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
dice = random.Random(seed)
journal = Journal.open(path, synchronous=dice.choice(["full", "normal"]))
runs = [row.run for row in journal.runs()]


def append():
    run = dice.choice(runs)
    number = journal.have(run) + 1
    journal.append(run, encode(Result("node", 1, 0, {"number": number, "pad": "x" * dice.randrange(3000)}, 1, {})))


async def main():
    while True:
        for _ in range(dice.choice([1, 1, 3, 30])):
            append()
        choice = dice.randrange(3)
        if choice == 0:
            journal.flush()
        else:
            waiting = asyncio.create_task(journal.barrier())
            await asyncio.sleep(0)
            if choice == 1:
                append()
            await waiting
        print(*(journal.durable_seq(run) for run in runs), flush=True)


asyncio.run(main())
"""


def crash(path: Path, seed: int, *, after: int, limit: int = 0) -> tuple[list[int], str]:
    """Runs a writer until it said `after` times what is durable, and kills it; what it said last, and its complaints."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(seed), str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        said = [0, 0]
        for _ in range(after):
            line = child.stdout.readline()
            if not line:
                break
            said = [int(word) for word in line.split()]
        if not limit:
            os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().splitlines()
        if rest and len(rest[-1].split()) == 2 and (limit or len(rest) > 1):
            said = [int(word) for word in rest[-1 if limit else -2].split()]
        return said, child.stderr.read()


def test_a_killed_writer_leaves_a_prefix_with_all_that_was_durable(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        create(journal)
        create(journal, LATER)
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    before = {RUN: 0, LATER: 0}
    for _ in range(6):
        said, complaints = crash(path, dice.randrange(1_000_000), after=dice.randrange(1, 120))
        assert complaints == ""
        with Journal.open(path) as journal:
            runs = [row.run for row in journal.runs()]
            for run, durable in zip(runs, said, strict=True):
                log = numbers(journal, run)
                assert len(log) >= durable
                assert len(log) >= before[run]
                before[run] = len(log)
    assert sum(before.values()) > 0


def test_a_file_that_may_not_grow_any_more_leaves_a_prefix_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        create(journal)
        create(journal, LATER)
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    said, complaints = crash(path, seed, after=100_000, limit=600_000)
    assert "JournalError: the journal" in complaints
    assert "could not be written: " in complaints
    with Journal.open(path) as journal:
        runs = [row.run for row in journal.runs()]
        assert sum(said) > 0
        for run, durable in zip(runs, said, strict=True):
            assert len(numbers(journal, run)) >= durable
            append(journal, run)
        journal.flush()


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    script = """
import sys
from graphs.journal import Journal
from graphs.records import Result, encode

with Journal.open(sys.argv[1]) as journal:
    run = bytes.fromhex(sys.argv[2])
    for number in range(1, 201):
        journal.write(run, encode(Result("node", 1, 0, {"number": number}, 1, {})))
"""
    with Journal.open(path) as journal:
        create(journal)
        create(journal, LATER)
        with subprocess.Popen([sys.executable, "-c", script, str(path), LATER.hex()], cwd=Path(__file__).parent.parent) as child:
            while child.poll() is None:
                append(journal)
                journal.flush()
        assert child.returncode == 0
        assert len(numbers(journal, LATER)) == 200
        assert len(numbers(journal)) == journal.have(RUN) > 0
