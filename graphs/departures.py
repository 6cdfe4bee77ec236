"""Departures in requests: what agents and models send over the network, written down before it is sent (docs/privacy.md).

Whoever carries out a run puts a witness around it; agents that need something of the world say at which node they are. What has no witness,
on a worker or in a program of one's own, is sent without a word here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from graphs.values import Value, canonical, clean

if TYPE_CHECKING:
    from graphs.registry import Agent

__all__ = ["ANYWHERE", "Kind", "Witness", "at_node", "begins", "departs", "request_hook", "witness", "witnessed"]

Kind: TypeAlias = Literal["model", "fetch", "agent"]
"""A request to a model's server, one of an agent of ours, and all that an agent of one's own is handed, which may send it or not."""

ANYWHERE: Final = "wherever it sends it"
"""To whom an agent sends that does not say so itself."""


class Witness(Protocol):
    """Writes the audit of one run. Each returns when its line is durable, and raises JournalError if it cannot be."""

    async def leaves(self, path: str, kind: Kind, to: str, size: int) -> None:
        """A request of so many bytes is about to go to that server, for the node at `path`; "" if nobody knows for which."""

    async def declassified(self, path: str, labels: list[str] | None, reason: str, size: int) -> None:
        """A value of so many bytes lost these labels, all if None, at the node at `path`."""


_current: ContextVar[tuple[Witness, str] | None] = ContextVar("departures", default=None)


@contextmanager
def witnessed(by: Witness) -> Iterator[None]:
    """Inside it, and in all tasks begun there, what leaves is written down by that witness."""
    token = _current.set((by, ""))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def at_node(path: str) -> Iterator[None]:
    """What leaves inside it leaves for this node."""
    seen = _current.get()
    token = _current.set((seen[0], path) if seen is not None else None)
    try:
        yield
    finally:
        _current.reset(token)


def witness() -> Witness | None:
    """Who writes down what leaves here."""
    seen = _current.get()
    return seen[0] if seen is not None else None


async def begins(agent: Agent, inputs: Mapping[str, Value]) -> None:
    """An agent is about to run. If it may use the network and does not say itself what it sends, all it is handed counts as sent."""
    if "network" in agent.needs and not agent.audited and _current.get() is not None:
        await departs("agent", ANYWHERE, len(canonical(clean(dict(inputs)))))


async def departs(kind: Kind, to: str, size: int) -> None:
    """Write down that a request is about to be sent. Raises JournalError if that cannot be done: then nothing must be sent."""
    seen = _current.get()
    if seen is not None:
        by, path = seen
        await by.leaves(path, kind, to, size)


def request_hook(kind: Kind) -> Mapping[str, list[Callable[[Any], Awaitable[None]]]]:
    """The `event_hooks` of an httpx client whose requests are written down, each redirection included, before they are sent."""

    async def about_to_send(request: Any) -> None:
        url = request.url
        size = len(await request.aread()) + len(url.raw_path) + sum(len(name) + len(value) for name, value in request.headers.raw)
        await departs(kind, f"{url.scheme}://{url.netloc.decode('ascii')}", size)

    return {"request": [about_to_send]}
