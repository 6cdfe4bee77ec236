"""A process that works on a run lets go of it when another one asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.runs.at_work import at_work, is_at_work
from edge.runs.resting import ask_to_rest, at_work_until_asked, relieving
from graphs.errors import UsageError
from graphs.journal.ids import new_run_id

ROOT = Path(__file__).parents[1]
WORKS = """
import asyncio, sys
from pathlib import Path
from edge.runs.resting import at_work_until_asked

async def main():
    asked = asyncio.Event()
    with at_work_until_asked(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), asked.set):
        print("working", flush=True)
        await asked.wait()
        print("asked", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # what it has begun

asyncio.run(main())
"""


@contextmanager
def working(journal: Path, run: bytes) -> Iterator[subprocess.Popen[str]]:
    """Another process at work on the run."""
    words = [sys.executable, "-c", WORKS, str(journal), run.hex()]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "working\n"
        try:
            yield other
        finally:
            other.kill()


def test_who_is_asked_finishes_and_who_asked_works_on(tmp_path: Path) -> None:
    journal, run = tmp_path / "journal.db", new_run_id()

    async def relieve() -> None:
        asked = asyncio.Event()
        with working(journal, run) as other:
            task = asyncio.ensure_future(_relieved(journal, run, asked))
            await asked.wait()
            assert other.stdout is not None
            assert other.stdin is not None
            assert await asyncio.to_thread(other.stdout.readline) == "asked\n"
            assert is_at_work(journal, run)
            assert not task.done(), "it still has something to finish"
            other.stdin.write("\n")
            other.stdin.flush()
            await task

    asyncio.run(asyncio.wait_for(relieve(), 120))
    assert not is_at_work(journal, run)
    assert list((tmp_path / "journal.db-runs").iterdir()) == []


async def _relieved(journal: Path, run: bytes, asked: asyncio.Event) -> None:
    async with relieving(journal, run, told=asked.set):
        assert is_at_work(journal, run)


def test_what_a_dead_process_left_answers_nobody_and_keeps_nobody_out(tmp_path: Path) -> None:
    journal, run = tmp_path / "journal.db", new_run_id()
    with working(journal, run) as other:
        other.kill()
        other.communicate()
    assert not ask_to_rest(journal, run)
    assert {path.suffix for path in (tmp_path / "journal.db-runs").iterdir()} == {".lock", ".rest"}
    asked = asyncio.Event()
    asyncio.run(_relieved(journal, run, asked))
    assert not asked.is_set()
    assert list((tmp_path / "journal.db-runs").iterdir()) == []

    async def works() -> None:
        heard = asyncio.Event()
        with at_work_until_asked(journal, run, heard.set):
            assert ask_to_rest(journal, run)
            await asyncio.wait_for(heard.wait(), 120)

    asyncio.run(works())
    assert not ask_to_rest(journal, run)


def test_a_process_that_listens_to_nobody_is_not_waited_for(tmp_path: Path) -> None:
    journal, run = tmp_path / "journal.db", new_run_id()
    with at_work(journal, run), pytest.raises(UsageError, match=r"another process works on run .* cannot be asked"):
        asyncio.run(_relieved(journal, run, asyncio.Event()))


def test_one_that_does_not_let_go_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    journal, run = tmp_path / "journal.db", new_run_id()

    async def relieve() -> None:
        with working(journal, run):
            async with relieving(journal, run, seconds=0.1):
                raise AssertionError("it still works")

    with pytest.raises(UsageError, match=r"did not let go of it within 0\.1 s"):
        asyncio.run(relieve())


def test_to_end_a_run_is_another_question_than_to_let_go_of_it(tmp_path: Path) -> None:
    journal, run = tmp_path / "journal.db", new_run_id()

    async def asked() -> list[str]:
        heard: asyncio.Queue[str] = asyncio.Queue()
        with at_work_until_asked(journal, run, lambda: heard.put_nowait("rest"), lambda: heard.put_nowait("stop")):
            said = []
            for stop in (False, True):
                assert ask_to_rest(journal, run, stop=stop)
                said.append(await heard.get())
            return said

    assert asyncio.run(asyncio.wait_for(asked(), 120)) == ["rest", "stop"]
