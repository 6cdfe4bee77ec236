"""Asking the process that works on a run to rest: it begins nothing more, finishes what it has begun, and lets go of the run. Or to end the run
where it is.

So a run that goes on here can be handed over without anybody interrupting it, and still one process at a time works on it: whoever asked waits for
the lock of that process, which ends with it, and only then does anything. The question goes through a named pipe beside the lock. It is there only
while somebody listens, and whoever may write to it may write to the journal, too.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from edge.runs.at_work import at_work, pipe_of
from graphs.errors import UsageError
from graphs.journal.ids import run_id_text

__all__ = ["ask_to_rest", "at_work_until_asked", "relieving"]

_PATIENCE: Final = 600.0
_LOOK: Final = 0.05
_BEGINNING: Final = 1.0
"""Seconds: how long who was asked is waited for, how often that is looked, and how long a process may need until it listens."""


_REST: Final = b"\n"
_STOP: Final = b"!"


@contextmanager
def at_work_until_asked(
    journal: Path, run: bytes, rest: Callable[[], None], stop: Callable[[], None] | None = None
) -> Iterator[None]:
    """As `at_work`, in an event loop; `rest` is called if another process asks this one to let go of the run, `stop` if that asks to end it."""
    with at_work(journal, run), _listening(pipe_of(journal, run), rest, stop or rest):
        yield


@asynccontextmanager
async def relieving(
    journal: Path, run: bytes, *, stop: bool = False, told: Callable[[], object] = lambda: None, seconds: float = _PATIENCE
) -> AsyncIterator[None]:
    """As `at_work`, but a process that works on the run is asked to rest, with `stop` to end it, and waited for; `told` is called when it was asked.

    Raises UsageError if it cannot be asked, or does not let go in time; the run rests here then, once it does.
    """
    began, asked = time.monotonic(), False
    with ExitStack() as working:
        while True:
            try:
                working.enter_context(at_work(journal, run))
                break
            except UsageError:
                waited = time.monotonic() - began
                if not asked and ask_to_rest(journal, run, stop=stop):
                    asked = True
                    told()
                text = run_id_text(run)
                if not asked and waited > _BEGINNING:
                    raise UsageError(
                        f"another process works on run {text}, and cannot be asked to let go of it: perhaps it hands it over just now.",
                        hint=f"Wait for it, then look who holds the run: graphferry runs show {text}",
                    ) from None
                if waited > seconds:
                    raise UsageError(
                        f"the process that works on run {text} did not let go of it within {seconds:g} s.",
                        hint=f"It still finishes what it has begun; `graphferry runs show {text}` shows how far it is. Try again then.",
                    ) from None
            await asyncio.sleep(_LOOK)
        yield


def ask_to_rest(journal: Path, run: bytes, *, stop: bool = False) -> bool:
    """Ask the process that works on the run to let go of it at the next occasion, or with `stop` to end it. False if nobody listens."""
    try:
        pipe = os.open(pipe_of(journal, run), os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:  # there is none, or it was left by a process that died
        return False
    try:
        os.write(pipe, _STOP if stop else _REST)
    except OSError:
        return False
    finally:
        os.close(pipe)
    return True


@contextmanager
def _listening(path: Path, rest: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    pipe = _open_pipe(path)
    if pipe is None:
        yield
        return

    def asked() -> None:
        (stop if _STOP in os.read(pipe, 64) else rest)()

    try:
        loop.add_reader(pipe, asked)
    except NotImplementedError:  # a loop that cannot wait for files
        os.close(pipe)
        path.unlink(missing_ok=True)
        yield
        return
    try:
        yield
    finally:
        loop.remove_reader(pipe)
        path.unlink(missing_ok=True)
        os.close(pipe)


def _open_pipe(path: Path) -> int | None:
    """A new pipe at that path; None where the system has none."""
    if not hasattr(os, "mkfifo"):
        return None
    try:
        path.unlink(missing_ok=True)  # of a process that died: this one has the lock
        os.mkfifo(path, 0o600)
        # For writing, too: else it is at its end as soon as the first who wrote has gone.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:  # a file system that has none
        return None
