"""Agents that talk to servers over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from graphs.agents.common import given, option, refuse, service
from graphs.departures import request_hook
from graphs.errors import LinkCondition, NodeError
from graphs.language.jstext import json_text, parse_json, text, truthy
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

if TYPE_CHECKING:
    import httpx

__all__ = ["AGENTS"]

_METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH")
_METHODS_WITH_BODY: Final = ("POST", "PUT", "PATCH")
_METHODS_WITH_EFFECT: Final = (*_METHODS_WITH_BODY, "DELETE")
_KEY_HEADER: Final = "Idempotency-Key"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_CONNECT_SECONDS: Final = 30.0
_MAX_REDIRECTS: Final = 20


@dataclass(frozen=True, slots=True)
class _Request:
    """What is sent. `secret` is the authorization from the configuration: never part of a value. `key` tells a server that the request is the
    same one again.
    """

    url: str
    method: str
    headers: Mapping[str, Value]
    body: str | None
    secret: str | None
    key: str

    def all_headers(self) -> dict[str, str]:
        headers = {name: text(value) for name, value in self.headers.items()}
        if self.method in _METHODS_WITH_EFFECT and not any(name.lower() == _KEY_HEADER.lower() for name in headers):
            headers[_KEY_HEADER] = self.key
        return {**headers, "Authorization": self.secret} if self.secret else headers


@agent(
    "vanillaFetchAgent",
    category="service",
    effect="once",
    needs=["network"],
    audited=True,
    samples=[
        Sample(
            {"url": "http://127.0.0.1:9/p", "queryParams": {"q": "a b", "n": 1}, "headers": {"B": "3"}},
            {"debug": True, "headers": {"A": "1", "B": "2"}},
            {"url": "http://127.0.0.1:9/p?q=a+b&n=1", "method": "GET", "headers": {"A": "1", "B": "3"}},
        ),
        Sample(
            {"body": {"k": [1]}},
            {"debug": True, "url": "http://127.0.0.1:9"},
            {
                "url": "http://127.0.0.1:9/",
                "method": "POST",
                "headers": {"Content-Type": "application/json"},
                "body": '{"k":[1]}',
            },
        ),
    ],
)
async def vanilla_fetch_agent(context: AgentContext) -> Value:
    """Sends an HTTP request {url, method, queryParams, headers, body} (inputs over params) and gives the answer's JSON.

    params.type "text" gives text, flatResponse: false wraps it in {data}, supressError makes a value of an HTTP error, and with
    debug the request is given back and nothing is sent.
    """
    request = _request(context)
    if truthy(context.params.get("debug")):
        shown = {**request.headers, "Authorization": "***"} if request.secret else request.headers
        return {"url": request.url, "method": request.method, "headers": shown, "body": request.body or MISSING}
    kind = given(context.params, "type")
    if kind not in (MISSING, "json", "text"):
        raise refuse(f"Unknown Type! {text(kind)}")
    response = await _sent(context, "fetchAgent", request)
    if not response.is_success:
        return _http_error(context, response, kind)
    data = response.text if kind == "text" else _json(response.text, "fetchAgent")
    return {"data": data} if context.params.get("flatResponse") is False else data


def _request(context: AgentContext) -> _Request:
    url, method, body = (option(context, name) for name in ("url", "method", "body"))
    if not truthy(url):
        raise refuse("fetchAgent: no url")
    has_body = truthy(body)
    verb = text(method).upper() if truthy(method) else "POST" if has_body else "GET"
    if verb not in _METHODS:
        raise refuse(f"fetchAgent: invalid method: {verb}")
    if verb in _METHODS_WITH_BODY and not has_body:
        raise refuse(f"fetchAgent: The request body is required for this method: {verb}")
    secret = context.config.get("authorization")
    return _Request(
        url=_url(text(url), option(context, "queryParams")),
        method=verb,
        headers=_headers(context) | ({"Content-Type": "application/json"} if has_body else {}),
        body=json_text(body) if has_body else None,
        secret=text(secret) if truthy(secret) else None,
        key=context.key.hex(),
    )


def _headers(context: AgentContext) -> dict[str, Value]:
    merged: dict[str, Value] = {}
    for headers in (context.params.get("headers"), context.inputs.get("headers")):
        if isinstance(headers, dict):
            merged |= {name: value for name, value in headers.items() if value is not MISSING}
    return merged


def _url(url: str, query: Value) -> str:
    """The URL as a browser would write it, its query replaced where queryParams are given."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refuse(f"fetchAgent: Invalid URL: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise refuse("fetchAgent: Invalid URL: it must begin with http:// or https:// and name a host")
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None and port != _DEFAULT_PORTS[parts.scheme] else ""
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._[]|^\\")
    asked = _query(query) if truthy(query) else quote(parts.query, safe="/%:@!$&()*+,;=~-._?[]{}|^\\`")
    return urlunsplit((parts.scheme, user + place, path, asked, parts.fragment))


def _query(query: Value) -> str:
    """Names and values as forms are sent: a space is a plus sign, `*` stays and `~` does not."""
    if isinstance(query, str):
        pairs: list[tuple[str, str]] = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    elif isinstance(query, dict):
        pairs = [(name, text(value)) for name, value in query.items()]
    elif isinstance(query, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in query):
        pairs = [(text(name), text(value)) for name, value in query]
    else:
        raise refuse("fetchAgent: queryParams is a map of names and values")
    return urlencode(pairs, safe="*").replace("~", "%7E")


async def _sent(context: AgentContext, name: str, request: _Request) -> httpx.Response:
    import httpx

    from graphs.models.openai.servers import why_shut

    if service(context, "network") is False:
        raise refuse(
            f"{name}: the network is not granted here", hint="Run this node where it is, or grant it in the configuration."
        )
    if (shut := why_shut()) is not None:
        host = urlsplit(request.url).hostname or request.url
        raise LinkCondition(shut[0], f"{name} would reach {host}, and {shut[1]}.", retryable=shut[0] != "LABEL_WITHHELD")
    client = httpx.AsyncClient(
        transport=service(context, "http"),  # None: httpx's own
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),  # an attempt's time is the node's `timeout`
        follow_redirects=True,
        max_redirects=_MAX_REDIRECTS,
        event_hooks=request_hook("fetch"),
    )
    try:
        async with client:
            return await client.request(request.method, request.url, headers=request.all_headers(), content=request.body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NodeError(f"{name}: fetch failed: {str(error) or type(error).__name__}") from error


def _http_error(context: AgentContext, response: httpx.Response, kind: Value) -> Value:
    message = f"HTTP error: {response.status_code}"
    if not truthy(given(context.params, "supressError", "suppressError")):
        raise NodeError(message, detail={"status": response.status_code})
    return {"onError": {"message": message, "status": response.status_code, "error": _error_body(response.text, kind)}}


def _error_body(body: str, kind: Value) -> Value:
    if kind == "text":
        return body
    try:
        return parse_json(body)
    except NodeError:
        return body  # servers explain their errors in HTML, too; that must not hide the error itself


def _json(body: str, name: str) -> Value:
    try:
        return parse_json(body)
    except NodeError as error:
        raise NodeError(
            f"{name}: the answer is not JSON: {error.message}", hint='params.type: "text" takes any answer.'
        ) from error


AGENTS: Final = (vanilla_fetch_agent,)
