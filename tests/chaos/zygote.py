"""Processes of graphferry at the price of a fork: one process imports all of it once, and each command is a child of that one.

What runs are processes like any other, with a memory, files and a death of their own; only the 0.6 s of imports is saved, which is four
fifths of what a schedule would cost. Run as a program, this is the process that forks: it takes orders from the socket that is its stdin.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NoReturn

ROOT = Path(__file__).resolve().parents[2]

__all__ = ["Process", "Zygote"]

_PRELOADED: Final = ("cloud", "edge", "graphferry", "graphs", "protocol")
"""Packages that are imported whole: what a command imports first takes each of its processes more time than all that it does."""
_SPARED: Final = ("graphs.models.llama", "graphs.models.files", "graphs.models.hosting", "graphs.drawing", "edge.commands.demo")
"""Parts of them that no schedule needs, and that need what is large, or not there."""
_ALSO: Final = (
    "asyncio",
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.idna",
    "sqlite3",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
)


class Process:
    """A command that runs. `stdout` and `stderr` are its output; `stderr` is None where it goes to a file."""

    def __init__(self, pid: int, stdout: IO[str], stderr: IO[str] | None, ending: IO[str]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self._ending = ending
        self._lock = threading.Lock()
        self._status: int | None = None

    def wait(self) -> int:
        """Its exit status, negative the number of the signal that killed it. Blocks until it is over."""
        with self._lock:
            if self._status is None:
                self._status = int(self._ending.readline())
                self._ending.close()
        return self._status

    def signal(self, number: int) -> None:
        """Send it a signal, unless it is over."""
        with contextlib.suppress(ProcessLookupError):
            if self._status is None:
                os.kill(self.pid, number)

    def close(self) -> None:
        """Close what it was read by."""
        self.stdout.close()
        if self.stderr is not None:
            self.stderr.close()


class Zygote:
    """Starts commands; any thread may. Close it when all of them are over."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHFERRY_")}
        command = [sys.executable, "-X", "faulthandler", str(Path(__file__))]
        path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
        self._popen = subprocess.Popen(command, stdin=theirs.fileno(), env={**kept, "PYTHONPATH": path})
        theirs.close()
        self._orders = ours
        self._lock = threading.Lock()

    def start(self, words: Sequence[str], folder: Path, variables: Mapping[str, str], errors: Path | None = None) -> Process:
        """`graphferry WORDS` in a folder; its stderr is added to the file `errors` if there is one."""
        out, err, end = os.pipe(), os.pipe() if errors is None else None, os.pipe()
        to = err[1] if err is not None else os.open(str(errors), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        order = json.dumps({"words": list(words), "folder": str(folder), "variables": dict(variables)}).encode()
        with self._lock:
            socket.send_fds(self._orders, [len(order).to_bytes(4, "big") + order], [out[1], to, end[1]])
        for each in (out[1], to, end[1]):
            os.close(each)
        ending = os.fdopen(end[0])
        pid = int(ending.readline())
        return Process(pid, os.fdopen(out[0]), os.fdopen(err[0]) if err is not None else None, ending)

    def close(self) -> None:
        """End the process that forks."""
        self._orders.close()
        self._popen.wait()


# -- the process that forks


def main() -> int:
    """Forks for each order, tells who ordered the process its pid and how it ended; a child returns with its command's status."""
    for name in (*_ALSO, *(each for package in _PRELOADED for each in _modules(package))):
        importlib.import_module(name)
    gc.freeze()
    orders = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    endings: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([orders.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _bury(endings)
        if orders.fileno() not in ready:
            continue
        data, fds, _, _ = socket.recv_fds(orders, 65536, 3)
        if not data:
            return 0
        while len(data) < 4 + int.from_bytes(data[:4], "big"):
            data += orders.recv(65536)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (orders.detach(), woken, wake, fds[2], *endings.values()):
                os.close(each)
            _end(_be(json.loads(data[4:]), fds[0], fds[1]))
        os.close(fds[0])
        os.close(fds[1])
        os.write(fds[2], f"{pid}\n".encode())
        endings[pid] = fds[2]


def _modules(package: str) -> Iterator[str]:
    """A package and all modules in it but those that are spared."""
    yield package
    for each in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if each.ispkg and each.name not in _SPARED:
            yield from _modules(each.name)
        elif each.name not in _SPARED and not each.name.endswith("__main__"):
            yield each.name


def _bury(endings: dict[int, int]) -> None:
    """Tell of the children that are over."""
    while endings:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        ending = endings.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(ending, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(ending)


def _be(order: Mapping[str, object], out: int, err: int) -> int:
    """Be the command."""
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for each, number in ((out, 1), (err, 2)):
        os.dup2(each, number)
        os.close(each)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the one from before thinks that it is what the parent's was, a file perhaps
    os.chdir(str(order["folder"]))
    variables, words = order["variables"], order["words"]
    assert isinstance(variables, dict)
    assert isinstance(words, list)
    os.environ.update(variables)
    sys.path.insert(0, "")
    signal.signal(signal.SIGUSR1, _tell_tasks)
    if planted := variables.get("CHAOS_PLANTED"):
        importlib.import_module("chaos.planted").plant(planted)
    if patience := variables.get("CHAOS_PATIENCE"):
        setattr(importlib.import_module("edge.syncing.handover"), "_PATIENCE", float(patience))  # noqa: B010 - a module of any type
    cli = importlib.import_module("graphferry.cli")
    return int(cli.main(words))


def _end(status: int) -> NoReturn:
    """End as Python does, its threads first, but leave what is in memory to the system: to visit all of it costs what most commands do."""
    threading._shutdown()  # type: ignore[attr-defined]  # there is no public name for what a Python's end begins with
    atexit._run_exitfuncs()
    for each in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            each.flush()
    os._exit(status)


def _tell_tasks(*_: object) -> None:
    """What each task waits for, and within what: where a command hangs."""
    with contextlib.suppress(RuntimeError):
        for task in asyncio.all_tasks(asyncio.get_running_loop()):
            print(f"{task.get_name()} waits:", *_waits(task.get_coro()), sep="\n  ", file=sys.stderr, flush=True)


def _waits(inner: object) -> Iterator[str]:
    """The frames of a coroutine that waits, and of those that it waits for, which `print_stack` leaves out."""
    while inner is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(inner, f"{kind}_frame")), None)
        if kind is None:
            yield repr(inner)
            return
        frame = getattr(inner, f"{kind}_frame")
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        inner = getattr(inner, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")


if __name__ == "__main__":
    sys.exit(main())
