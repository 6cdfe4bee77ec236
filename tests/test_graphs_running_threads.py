"""Threads for agents that block: one that nobody waits for keeps nobody else from working, nor the process from ending."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path

import pytest

from graphs.errors import NodeError
from graphs.running.threads import Threads, in_thread

WHOSE: ContextVar[str] = ContextVar("whose", default="nobody's")


def test_a_call_gives_what_it_gives_and_raises_what_it_raises_with_the_context_of_its_caller() -> None:
    async def main() -> None:
        WHOSE.set("the caller's")
        assert await in_thread(lambda word: (word, WHOSE.get()), "a") == ("a", "the caller's")
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 / 0)

    asyncio.run(main())


def test_more_calls_than_threads_wait_for_one() -> None:
    threads, together, most = Threads(most=2), 0, 0
    lock, gate = threading.Lock(), threading.Event()

    def work() -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        gate.wait(0.01)
        with lock:
            together -= 1

    async def main() -> None:
        await asyncio.gather(*(in_thread(work, threads=threads) for _ in range(20)))

    asyncio.run(main())
    assert most == 2


def test_a_thread_left_alone_takes_nobodys_place_and_too_many_of_them_are_refused() -> None:
    threads, end = Threads(most=1, most_left=2), threading.Event()

    async def stopped() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def block() -> None:
            loop.call_soon_threadsafe(begun.set)
            end.wait()

        task = asyncio.create_task(in_thread(block, threads=threads))
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def main() -> None:
        await stopped()
        assert await in_thread(lambda: 1, threads=threads) == 1
        await stopped()
        assert threads.left == 2
        with pytest.raises(NodeError, match="2 threads of agents that were stopped still work"):
            await in_thread(lambda: 1, threads=threads)
        end.set()
        while threads.left:  # noqa: ASYNC110 - threads tell no loop
            await asyncio.sleep(0)
        assert await in_thread(lambda: 2, threads=threads) == 2

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_call_that_was_stopped_before_it_began_never_runs() -> None:
    threads, end = Threads(most=1), threading.Event()
    ran: list[int] = []

    async def main() -> None:
        first = asyncio.create_task(in_thread(end.wait, threads=threads))
        second = asyncio.create_task(in_thread(ran.append, 1, threads=threads))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        end.set()
        assert await first
        assert await in_thread(lambda: 3, threads=threads) == 3

    asyncio.run(main())
    assert not ran


STUCK = """\
import threading
import graphferry as gf

@gf.agent("stuckAgent", blocking=True)
def stuck(context):
    threading.Event().wait()

graph = {"version": 0.5, "nodes": {"n": {"agent": "stuckAgent", "inputs": {"x": 1}}}}
ended = gf.run(graph, agents=[stuck], limits={"seconds": 0.2})
print(ended.status, *ended.errors.values())
"""


def test_a_process_whose_agent_never_comes_back_ends_all_the_same(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "failed the limit `seconds` of 0.2 is reached" in done.stdout
