"""Threads for agents that block. A thread cannot be ended from outside: one whose attempt was stopped goes on by itself.

So these are not Python's pool: they never keep the process from ending, one that was left alone takes nobody's place, and when many were,
no more are started until some have ended.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any, Final

from graphs.errors import NodeError

__all__ = ["MOST", "MOST_LEFT", "Threads", "in_thread"]

MOST: Final = 32
"""Threads that work at once; more calls wait."""

MOST_LEFT: Final = 64
"""Threads that nobody waits for any more and that still work, after which no call is taken."""

_IDLE_SECONDS: Final = 5.0


class _Call:
    """A call, and what became of it."""

    __slots__ = ("begun", "ended", "future", "left", "run")

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run
        self.future: Future[Any] = Future()
        self.begun = self.ended = self.left = False


class Threads(Executor):
    """Runs calls in threads that end with the process."""

    def __init__(self, most: int = MOST, most_left: int = MOST_LEFT) -> None:
        self._most = most
        self._most_left = most_left
        self._waiting: deque[_Call] = deque()
        self._change = threading.Condition()
        self._threads = 0
        self._idle = 0
        self.left = 0
        """Threads at work that nobody waits for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any Executor. Raises NodeError if too many threads that nobody waits for still work."""
        return self.call(lambda: fn(*args, **kwargs)).future

    def call(self, run: Callable[[], Any]) -> _Call:
        """Take a call. Raises as `submit`."""
        call = _Call(run)
        with self._change:
            if self.left >= self._most_left:
                raise NodeError(
                    f"{self.left} threads of agents that were stopped still work: they cannot be ended, and no more are started until some have",
                    hint="An agent that blocks should end by itself, for instance by time-outs of what it waits for.",
                )
            self._waiting.append(call)
            self._help()
        return call

    def leave(self, call: _Call) -> None:
        """Nobody waits for the call any more."""
        with self._change:
            if call.begun and not call.ended:
                call.left = True
                self.left += 1
                self._help()
            elif not call.begun and call in self._waiting:
                self._waiting.remove(call)

    def _help(self) -> None:
        if self._idle:
            self._change.notify()
        elif self._waiting and self._threads - self.left < self._most:
            self._threads += 1
            threading.Thread(target=self._work, name="blocking agent", daemon=True).start()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                value = call.run()
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                self._end(call)
                call.future.set_exception(error)
            else:
                self._end(call)
                call.future.set_result(value)
            del call

    def _next(self) -> _Call | None:
        with self._change:
            while True:
                self._idle += 1
                found = self._change.wait_for(lambda: self._waiting, _IDLE_SECONDS)
                self._idle -= 1
                if not found or self._threads - self.left > self._most:
                    self._threads -= 1
                    return None
                call = self._waiting.popleft()
                if call.future.set_running_or_notify_cancel():
                    call.begun = True
                    return call

    def _end(self, call: _Call) -> None:
        with self._change:
            call.ended = True
            self.left -= call.left


_THREADS: Final = Threads()


async def in_thread(run: Callable[..., Any], *arguments: Any, threads: Threads = _THREADS) -> Any:
    """What `run(*arguments)` gives, run in a thread with this context's variables. Cancelled, it leaves the thread alone.

    Raises what `run` raises, and NodeError as `Threads.submit`.
    """
    context = copy_context()
    calls: list[_Call] = []

    class Once(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
            calls.append(threads.call(lambda: fn(*args)))
            return calls[0].future

    try:
        return await asyncio.get_running_loop().run_in_executor(Once(), context.run, run, *arguments)
    except asyncio.CancelledError:
        for call in calls:
            threads.leave(call)
        raise
