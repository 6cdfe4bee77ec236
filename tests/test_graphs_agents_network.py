"""HTTP agents, against a server that lives in the client's transport: nothing leaves this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agent_context import context, run
from graphs.agents import network
from graphs.errors import NodeError

Handler = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers as told and keeps the requests."""

    def __init__(self, answer: httpx.Response | Handler | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer or (lambda request: httpx.Response(200, json={"ok": True}))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request) if callable(self._answer) else self._answer


def fetching(server: Server, inputs: dict[str, Any], params: dict[str, Any] | None = None, **more: Any) -> Any:
    services = {"http": httpx.MockTransport(server)}
    return run(network.vanilla_fetch_agent, context(inputs, params, services=services, **more))


def debugged(inputs: dict[str, Any], params: dict[str, Any] | None = None, **more: Any) -> Any:
    return run(network.vanilla_fetch_agent, context(inputs, {**(params or {}), "debug": True}, **more))


class TestTheRequest:
    @pytest.mark.parametrize(
        ("url", "query", "sent"),
        [
            ("http://h.example", None, "http://h.example/"),
            ("HTTP://H.Example:80/a b", None, "http://h.example/a%20b"),
            ("https://u:p@h.example:8443/x?q=1 2#f", None, "https://u:p@h.example:8443/x?q=1%202#f"),
            ("http://[::1]:9/é%20", None, "http://[::1]:9/%C3%A9%20"),
            ("http://h/p?old=1", {"a": "x y", "b": True, "c": None, "d": [1, 2]}, "http://h/p?a=x+y&b=true&c=null&d=1%2C2"),
            ("http://h/p", "?a=1&b=&c=%20", "http://h/p?a=1&b=&c=+"),
            ("http://h/p", [["a", 1], ["a", 2]], "http://h/p?a=1&a=2"),
            ("http://h/p", {"s": "*-._~&="}, "http://h/p?s=*-._%7E%26%3D"),
        ],
    )
    def test_addresses(self, url: str, query: Any, sent: str) -> None:
        assert debugged({"url": url, "queryParams": query})["url"] == sent

    def test_methods(self) -> None:
        assert debugged({"url": "http://h", "method": "head"})["method"] == "HEAD"
        assert debugged({"url": "http://h"})["method"] == "GET"
        assert debugged({"url": "http://h", "body": [1]})["method"] == "POST"
        assert debugged({"url": "http://h", "body": ""})["method"] == "GET"

    def test_inputs_over_params_and_headers_merged(self) -> None:
        got = debugged({"url": "http://in", "headers": {"B": 2}}, {"url": "http://params", "headers": {"A": 1, "B": 1}})
        assert (got["url"], got["headers"]) == ("http://in/", {"A": 1, "B": 2})

    def test_an_authorization_from_the_configuration_is_sent_but_never_shown(self) -> None:
        config = {"authorization": "Bearer s3cret"}
        assert "s3cret" not in str(debugged({"url": "http://h"}, config=config))
        server = Server()
        fetching(server, {"url": "http://h"}, config=config)
        assert server.requests[0].headers["authorization"] == "Bearer s3cret"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_what_changes_something_carries_the_key(self, method: str) -> None:
        server = Server()
        inputs = {"url": "http://h", "method": method, "body": {"k": 1}}
        fetching(server, inputs)
        assert server.requests[0].headers["idempotency-key"] == bytes(range(16)).hex()
        fetching(server, {**inputs, "headers": {"idempotency-KEY": "mine"}})
        assert server.requests[1].headers.get_list("idempotency-key") == ["mine"]
        assert "dempotency" not in str(debugged(inputs))

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_what_only_asks_needs_none(self, method: str) -> None:
        server = Server()
        fetching(server, {"url": "http://h", "method": method}, {"type": "text"})
        assert "idempotency-key" not in server.requests[0].headers

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({}, "fetchAgent: no url"),
            ({"url": "http://h", "method": "TRACE"}, "fetchAgent: invalid method: TRACE"),
            ({"url": "http://h", "method": "PUT"}, "fetchAgent: The request body is required for this method: PUT"),
            ({"url": "h/p"}, "fetchAgent: Invalid URL"),
            ({"url": "file:///etc/passwd"}, "fetchAgent: Invalid URL"),
            ({"url": "http://h:port"}, "fetchAgent: Invalid URL"),
            ({"url": "http://h", "queryParams": 5}, "fetchAgent: queryParams"),
        ],
    )
    def test_refusals(self, inputs: dict[str, Any], message: str) -> None:
        server = Server()
        with pytest.raises(NodeError) as caught:
            fetching(server, inputs)
        assert caught.value.message.startswith(message)
        assert not caught.value.retryable
        assert not server.requests


class TestTheAnswer:
    def test_json_is_the_default(self) -> None:
        server = Server()
        assert fetching(server, {"url": "http://h/p", "body": {"k": "é"}}) == {"ok": True}
        (request,) = server.requests
        assert (request.method, request.content) == ("POST", '{"k":"é"}'.encode())
        assert request.headers["content-type"] == "application/json"

    def test_text_and_wrapping(self) -> None:
        assert fetching(Server(httpx.Response(200, text="hi")), {"url": "http://h"}, {"type": "text"}) == "hi"
        assert fetching(Server(), {"url": "http://h"}, {"flatResponse": False}) == {"data": {"ok": True}}

    def test_redirects_are_followed(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(302, headers={"location": "/new"}) if request.url.path == "/" else httpx.Response(200, json=1)

        assert fetching(Server(answer), {"url": "http://h"}) == 1

    def test_a_status_that_is_an_error_fails(self) -> None:
        with pytest.raises(NodeError, match="HTTP error: 503") as caught:
            fetching(Server(httpx.Response(503, json={})), {"url": "http://h"})
        assert caught.value.retryable
        assert caught.value.detail == {"status": 503}

    @pytest.mark.parametrize("name", ["supressError", "suppressError"])
    def test_or_becomes_a_value(self, name: str) -> None:
        got = fetching(Server(httpx.Response(404, json={"why": "gone"})), {"url": "http://h"}, {name: True})
        assert got == {"onError": {"message": "HTTP error: 404", "status": 404, "error": {"why": "gone"}}}

    def test_an_error_in_html_does_not_hide_its_status(self) -> None:
        got = fetching(Server(httpx.Response(500, text="<html>")), {"url": "http://h"}, {"suppressError": True})
        assert got["onError"]["error"] == "<html>"
        got = fetching(Server(httpx.Response(500, text="{}")), {"url": "http://h"}, {"suppressError": True, "type": "text"})
        assert got["onError"]["error"] == "{}"

    def test_what_is_not_json(self) -> None:
        with pytest.raises(NodeError, match="fetchAgent: the answer is not JSON"):
            fetching(Server(httpx.Response(200, text="<html>")), {"url": "http://h"})

    def test_no_connection_fails_and_may_be_retried(self) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused")

        with pytest.raises(NodeError, match="fetch failed: connection refused") as caught:
            fetching(Server(refuse), {"url": "http://h"})
        assert caught.value.retryable

    def test_unknown_types_send_nothing(self) -> None:
        server = Server()
        with pytest.raises(NodeError, match="Unknown Type! blob"):
            fetching(server, {"url": "http://h"}, {"type": "blob"})
        assert not server.requests


def test_where_the_network_is_not_granted_nothing_is_sent() -> None:
    server = Server()
    services = {"network": False, "http": httpx.MockTransport(server)}
    with pytest.raises(NodeError, match="the network is not granted here"):
        run(network.vanilla_fetch_agent, context({"url": "http://h"}, services=services))
    assert not server.requests


def test_a_request_is_never_repeated_by_a_crash() -> None:
    assert network.vanilla_fetch_agent.effect == "once"
    assert all(agent.needs == {"network"} for agent in network.AGENTS)
