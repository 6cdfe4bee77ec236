"""Models behind servers by URL, as a configuration names them: `NAME: {url, model, key: {secret: NAME}}`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from graphs.errors import LinkCondition, UsageError
from graphs.models.files.store import missing
from graphs.models.interface import ModelInfo, Models
from graphs.secrets import Secrets, secret_name

if TYPE_CHECKING:
    from graphs.models.openai.client import ServerModel

__all__ = ["Server", "ServerModels", "read_server", "servers_shut", "why_shut"]

_KEYS: Final = frozenset({"url", "model", "key", "context", "on_device"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_shut: ContextVar[tuple[str, str, frozenset[str], bool] | None] = ContextVar("servers_shut", default=None)
_EXAMPLE: Final = "large: {url: http://127.0.0.1:11434/v1, model: qwen2.5:7b}"


@dataclass(frozen=True, slots=True)
class Server:
    """A model behind an OpenAI-compatible server.

    `url` is the address its paths are appended to (`.../v1`), `model` what the server calls the model, `key` the name of the secret
    it wants to see, `context` in tokens if it is known. `on_device` is the owner's word that the server runs on this machine and
    hands nothing on; without it, whatever it is asked counts as having left the machine.
    """

    url: str
    model: str
    key: str | None = None
    context: int | None = None
    on_device: bool = False

    @property
    def backend(self) -> str:
        """Scheme, host and port: what provenance says of it."""
        parts = urlsplit(self.url)
        return f"openai {parts.scheme}://{parts.netloc}"

    @property
    def is_loopback(self) -> bool:
        """Whether its address is one of this machine."""
        return urlsplit(self.url).hostname in _LOOPBACK


def read_server(name: str, entry: Mapping[str, Any], where: str) -> Server:
    """The server in a configuration's entry for the model `name`. Raises UsageError, saying `where`, for what is wrong with it."""
    if unknown := sorted(set(entry) - _KEYS):
        raise UsageError(f"{where}: unknown entry {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}, for instance\n{_EXAMPLE}")
    model, context, on_device = entry.get("model", name), entry.get("context"), entry.get("on_device", False)
    if not isinstance(model, str) or not model:
        raise UsageError(f"{where}: `model` is what the server calls the model, for instance\n{_EXAMPLE}")
    if context is not None and (isinstance(context, bool) or not isinstance(context, int) or context < 1):
        raise UsageError(f"{where}: `context` is a number of tokens")
    server = Server(_address(entry.get("url"), where), model, secret_name(entry.get("key"), where), context, on_device is True)
    if not isinstance(on_device, bool) or (on_device and not server.is_loopback):
        raise UsageError(f"{where}: `on_device` is true or false, and true only for a server at {', '.join(sorted(_LOOPBACK))}")
    return server


@contextmanager
def servers_shut(condition: str, why: str, but: Collection[str] = (), *, near: bool = False) -> Iterator[None]:
    """Inside it, and in all tasks begun there, no server is asked but models of these names, and those on the device if `near` ones are not shut:
    `get` raises LinkCondition instead, and so do agents that reach servers of any kind.

    `condition` is its code, `why` a sentence's end. Inside another one, what both let through is.
    """
    around = _shut.get()
    if around is not None:
        condition, why = around[:2]
        but, near = around[2].intersection(but), near or around[3]
    token = _shut.set((condition, why, frozenset(but), near))
    try:
        yield
    finally:
        _shut.reset(token)


def why_shut() -> tuple[str, str] | None:
    """Why no server may be asked here, as `servers_shut` was told it; None if one may."""
    shut = _shut.get()
    return shut[:2] if shut is not None else None


def _address(url: object, where: str) -> str:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
        parts = urlsplit("")
    if not right:
        raise UsageError(f"{where}: `url` is the address of a server, for instance\n{_EXAMPLE}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"{where}: `url` has neither a user nor a query; a key is written as `key: {{secret: NAME}}`")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


class ServerModels(Models):
    """The models behind servers of one side, by the names of its configuration. Nothing is asked of a server before a request is."""

    def __init__(self, servers: Mapping[str, Server], secrets: Secrets) -> None:
        self._servers = dict(servers)
        self._secrets = secrets
        self._models: dict[str, ServerModel] = {}
        self._closed = False

    async def get(self, name: str) -> ServerModel:
        if self._closed:
            raise LinkCondition("DRAINING", f"Model {name} is being closed.")
        model, shut = self._model(name), _shut.get()
        if shut is not None and (shut[3] or not self._servers[name].on_device) and name not in shut[2]:
            raise LinkCondition(
                shut[0], f"Model {name} is behind a server, and {shut[1]}.", retryable=shut[0] != "LABEL_WITHHELD"
            )
        return model

    def names(self) -> Sequence[str]:
        return sorted(self._servers)

    def describe(self, name: str) -> ModelInfo:
        return self._model(name).info

    async def close(self) -> None:
        self._closed = True
        for model in self._models.values():
            await model.close()

    def _model(self, name: str) -> ServerModel:
        from graphs.models.openai.client import ServerModel

        model = self._models.get(name)
        if model is None:
            if name not in self._servers:
                raise missing(name, self._servers, "the configuration")
            model = self._models[name] = ServerModel(self._servers[name], self._secrets)
        return model
