"""What leaves in requests is written down before it is sent, and nothing is sent that cannot be."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from graphs.departures import at_node, begins, departs, request_hook, witness, witnessed
from graphs.errors import JournalError
from graphs.registry import agent


class Seen:
    def __init__(self) -> None:
        self.said: list[Any] = []
        self.broken = False

    async def leaves(self, *said: Any) -> None:
        if self.broken:
            raise JournalError("the disk is full")
        self.said.append(said)

    async def declassified(self, *said: Any) -> None:
        self.said.append(said)


def asked(seen: Seen, method: str, url: str, **more: Any) -> list[str]:
    """The URLs that a server saw, with what was said before each."""
    got: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        assert len(seen.said) == len(got) + 1, "it was sent before it was said"
        got.append(str(request.url))
        return (
            httpx.Response(307, headers={"location": "https://b.example/y"})
            if request.url.host == "a.example"
            else httpx.Response(200)
        )

    async def ask() -> None:
        transport = httpx.MockTransport(serve)
        async with httpx.AsyncClient(
            transport=transport, follow_redirects=True, event_hooks=dict(request_hook("fetch"))
        ) as client:
            with witnessed(seen), at_node("page"):
                await client.request(method, url, **more)

    asyncio.run(ask())
    return got


def test_each_request_and_each_redirection_is_said_before_it_is_sent() -> None:
    seen = Seen()
    assert asked(seen, "POST", "https://a.example/x?q=secret", content="secret") == [
        "https://a.example/x?q=secret",
        "https://b.example/y",
    ]
    assert [(path, kind, to) for path, kind, to, _ in seen.said] == [
        ("page", "fetch", "https://a.example"),
        ("page", "fetch", "https://b.example"),
    ]
    assert all(size > len("secret") for *_, size in seen.said)
    assert "secret" not in repr(seen.said)


def test_what_cannot_be_said_is_not_sent() -> None:
    seen = Seen()
    seen.broken = True
    with pytest.raises(JournalError):
        asked(seen, "GET", "https://b.example/x")


@agent("mailAgent", needs=["network"])
def mail(context: Any) -> None:
    """Sends a mail."""


@agent("ownAgent", needs=["network"], audited=True)
def own(context: Any) -> None:
    """Says itself what it sends."""


@agent("plainAgent")
def plain(context: Any) -> None:
    """Sends nothing."""


def test_of_an_agent_that_says_nothing_all_it_is_handed_counts() -> None:
    seen = Seen()

    async def begin() -> None:
        with witnessed(seen), at_node("send"):
            for each in (mail, own, plain):
                await begins(each, {"letter": "x" * 100})

    asyncio.run(begin())
    ((path, kind, _, size),) = seen.said
    assert (path, kind, size > 100) == ("send", "agent", True)


def test_without_a_witness_nothing_is_said() -> None:
    assert witness() is None
    asyncio.run(departs("model", "https://a.example", 1))
    with at_node("x"):
        assert witness() is None
    asyncio.run(begins(mail, {}))


def test_inner_nodes_do_not_outlast_themselves() -> None:
    seen = Seen()

    async def main() -> None:
        with witnessed(seen):
            with at_node("a"):
                await departs("model", "https://a.example", 1)
            await departs("model", "https://a.example", 1)

    asyncio.run(main())
    assert [path for path, *_ in seen.said] == ["a", ""]
    assert witness() is None
