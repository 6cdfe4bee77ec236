"""The worker's configuration: `worker.yaml`, and what the command line says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cloud.accounts import DEFAULT, Account, read_accounts
from graphs.bounds import UNTRUSTED, Bounds, with_limits
from graphs.errors import UsageError
from graphs.models.hosting.memory_settings import read_memory
from graphs.models.hosting.seats import MemoryOptions
from graphs.models.openai.servers import Server, read_server
from graphs.models.prices import Price, read_price
from graphs.settings import read_settings

__all__ = ["WorkerConfig", "load_worker_config"]

_EXAMPLE: Final = "models: {large: {file: /models/large.gguf}}"
_MODEL_KINDS: Final = ("file", "url", "model", "scripted")  # a server's entry has a `model`, too


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker serves. `files` are GGUF files by model name, `servers` models behind servers, `scripted` names of models that say
    back what they are told. `prices` are what models cost, by the names devices know them by. `memory` is what models may take together.

    `folder` is where files may be read and written by agents; None grants no files. `network` lets the agents of the catalogue reach
    servers. `allow` are the only agents that graphs may use; None allows all that are here. `bounds` are for each run.
    `accounts` are by name, the default one among them.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    scripted: tuple[str, ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    memory: MemoryOptions = field(default_factory=MemoryOptions)
    agents: tuple[str, ...] = ()
    folder: Path | None = None
    network: bool = False
    allow: frozenset[str] | None = None
    bounds: Bounds = UNTRUSTED
    token: str | None = field(default=None, repr=False)
    accounts: Mapping[str, Account] = field(default_factory=lambda: {DEFAULT: Account()})


def load_worker_config(
    path: Path | None, *, agents: tuple[str, ...] = (), token: str | None = None, limits: tuple[str, ...] = ()
) -> WorkerConfig:
    """The configuration in a file, with the command line's agents added and its `NAME=N` limits over the file's. Raises UsageError
    naming the file and the entry that is wrong.
    """
    data = read_settings(path) if path is not None else {}
    known = {"accounts", "agents", "allow", "files", "limits", "memory", "models", "network"}
    for key in data:
        if key not in known:
            raise UsageError(f"{path}: unknown entry {key!r}; known are {', '.join(sorted(known))}")
    models = data.get("models") or {}
    if not isinstance(models, Mapping):
        raise UsageError(f"{path}: `models` is a map of names, for instance\n{_EXAMPLE}")
    files, aliases, servers, scripted, prices = {}, {}, {}, [], {}
    base = path.parent if path is not None else Path()
    for name, entry in models.items():
        kind = next((each for each in _MODEL_KINDS if isinstance(entry, Mapping) and entry.get(each)), None)
        if kind is None:
            raise UsageError(
                f"{path}: models.{name}: expected {{file: PATH}}, {{url: URL}}, {{model: NAME}} or {{scripted: true}}, for instance\n{_EXAMPLE}"
            )
        if (price := read_price(entry, f"{path}: models.{name}")) is not None:
            prices[name] = price
        if kind == "file":
            files[name] = base / str(entry["file"])
            if not files[name].is_file():
                raise UsageError(f"{path}: models.{name}: there is no file {files[name]}")
        elif kind == "url":
            servers[name] = read_server(name, entry, f"{path}: models.{name}")
        elif kind == "model":
            aliases[name] = str(entry["model"])
        else:
            scripted.append(name)
    named, folder = data.get("agents") or (), data.get("files")
    if not isinstance(named, (list, tuple)) or not all(isinstance(each, str) for each in named):
        raise UsageError(f"{path}: `agents` is a list of modules, for instance\nagents: [my_agents.py]")
    if folder is not None and not isinstance(folder, str):
        raise UsageError(f"{path}: `files` is a folder, for instance\nfiles: /srv/graphferry")
    return WorkerConfig(
        **_permissions(path, data, limits),
        files=files,
        aliases=aliases,
        servers=servers,
        scripted=tuple(scripted),
        prices=prices,
        memory=read_memory(data.get("memory"), f"{path}: memory"),
        agents=(*named, *agents),
        folder=base / folder if folder else None,
        token=token,
        accounts=read_accounts(data.get("accounts"), path),
    )


def _permissions(path: Path | None, data: Mapping[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """What runs may do here, and how much of it."""
    limits, allow, network = data.get("limits") or {}, data.get("allow"), data.get("network", False)
    if not isinstance(limits, Mapping):
        raise UsageError(f"{path}: `limits` is a map of names and numbers, for instance\nlimits: {{turns: 1000, seconds: 600}}")
    if allow is not None and not (isinstance(allow, list) and all(isinstance(each, str) for each in allow)):
        raise UsageError(f"{path}: `allow` is a list of agents' names, for instance\nallow: [llmAgent, copyAgent]")
    if not isinstance(network, bool):
        raise UsageError(f"{path}: `network` is true or false")
    bounds = with_limits(UNTRUSTED, limits, where=f"{path}: limits")
    return {
        "network": network,
        "allow": frozenset(allow) if allow is not None else None,
        "bounds": with_limits(bounds, words, where="--limit"),
    }
