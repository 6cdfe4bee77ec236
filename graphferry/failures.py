"""Turns what a command raised into one clear message on stderr and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from graphs.environment import ExitStatus
from graphs.errors import (
    GraphferryError,
    GraphInvalid,
    RunSuspended,
    UsageError,
    WorkerUnreachable,
)

if TYPE_CHECKING:
    from graphs.environment import Environment

__all__ = ["report", "status_of"]


def report(error: BaseException, env: Environment, *, debug: bool) -> ExitStatus:
    """Says on stderr what happened and what to do next; with `debug` where it was raised, too. Returns the exit status."""
    error = _only_one(error)
    if isinstance(error, BrokenPipeError) and any([_left(env.stdout, sys.stdout), _left(env.stderr, sys.stderr)]):
        return ExitStatus.PIPE_CLOSED
    if debug:
        import traceback

        env.stderr.write("".join(traceback.format_exception(error)))
    for line in _message(error, env, debug):
        print(line, file=env.stderr)
    return status_of(error)


def status_of(error: BaseException) -> ExitStatus:
    """The exit status that an error of a command stands for."""
    if isinstance(error, (UsageError, GraphInvalid)):
        return ExitStatus.USAGE
    if isinstance(error, WorkerUnreachable):
        return ExitStatus.UNREACHABLE
    if isinstance(error, RunSuspended):
        return ExitStatus.INTERRUPTED if error.reason == "interrupted" else ExitStatus.SUSPENDED
    if isinstance(error, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    return ExitStatus.FAILED


def _message(error: BaseException, env: Environment, debug: bool) -> Iterator[str]:
    if isinstance(error, KeyboardInterrupt):
        yield "interrupted"
    elif isinstance(error, GraphInvalid):
        from graphs.language.graph_files import text_of
        from graphs.language.problems import render

        yield render(error.problems, error.text or text_of(error.file, env.cwd), color=env.colour)
    elif isinstance(error, GraphferryError):
        yield f"error: {error.message}"
        if error.hint:
            yield f"  {error.hint}"
    elif isinstance(error, OSError) and error.strerror:
        yield f"error: {error.strerror}" + (f": {error.filename}" if error.filename else "")
    else:
        yield f"internal error: {type(error).__name__}: {error}"
        if not debug:
            yield "  this is a fault in graphferry; the same command with --debug shows where"


def _only_one(error: BaseException) -> BaseException:
    """What a task group wraps, where that is a single error: its text says more than that of the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _left(stream: TextIO, own: TextIO) -> bool:
    """Whether nobody reads this output of ours any more: a broken pipe may also be that of a process we talk to. `own` is the process's stream."""
    try:
        stream.flush()
        closed = _reader_gone(stream)
    except BrokenPipeError:
        closed = True
    if closed and stream is own:  # the interpreter flushes once more at its end, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), own.fileno())
    return closed


def _reader_gone(stream: TextIO) -> bool:
    """Whether the other end of the pipe is closed; an unbuffered stream has nothing left that a flush could fail on."""
    import select

    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (AttributeError, OSError):  # no such call on Windows; no file behind a test's stream
        return False
    return bool(poll.poll(0))
