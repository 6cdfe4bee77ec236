"""The hard switch of `--local-only`: while it is on, this process opens no socket and asks for no address, whatever agents, libraries or bugs try.

Python tells hooks of every socket before it is made (PEP 578), in all threads, so it does not matter who asks. Pairs of sockets inside the machine,
which event loops and child processes use, are no way out and stay. A program that an agent starts is not this process: it is not stopped.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from graphs.errors import LinkCondition

__all__ = ["no_sockets"]

_MADE: Final = "socket.__new__"
_ASKED: Final = frozenset(
    {
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.getnameinfo",
        "socket.connect",
        "socket.sendto",
    }
)
_INSIDE: Final = frozenset({getattr(socket, "AF_UNIX", None)})

_state = {"on": 0, "hooked": 0}


@contextmanager
def no_sockets() -> Iterator[None]:
    """Inside it nothing in this process opens a socket to anywhere: whoever tries gets LinkCondition UNREACHABLE."""
    if not _state["hooked"]:
        _state["hooked"] = 1
        sys.addaudithook(_look)
    _state["on"] += 1
    try:
        yield
    finally:
        _state["on"] -= 1


def _look(event: str, args: tuple[Any, ...]) -> None:
    if not _state["on"] or not event.startswith("socket."):
        return
    if (event == _MADE and args[1] not in _INSIDE) or (event in _ASKED and getattr(args[0], "family", None) not in _INSIDE):
        raise LinkCondition("UNREACHABLE", "--local-only forbids every socket, and something in this run tried to open one.")
