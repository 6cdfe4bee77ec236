"""The worker's configuration: `worker.yaml`, and what the command line says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cloud.accounts import DEFAULT, Account, read_accounts
from graphs.bounds import UNTRUSTED, Bounds, with_limits
from graphs.errors import UsageError
from graphs.models.hosting.memory_settings import MemoryOptions, read_memory
from graphs.models.openai.servers import Server, read_server
from graphs.models.prices import Price, read_price
from graphs.settings import read_settings, unknown_entry

__all__ = ["WorkerConfig", "load_worker_config"]

_EXAMPLE: Final = "models: {large: {file: /models/large.gguf}}"
_MODEL_KINDS: Final = ("file", "url", "model", "scripted")  # a server's entry has a `model`, too
_ENTRIES: Final = frozenset({"accounts", "agents", "allow", "files", "limits", "memory", "models", "network"})


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
    for key in data:
        if key not in _ENTRIES:
            raise unknown_entry(path, key, _ENTRIES)
    named, folder = data.get("agents") or (), data.get("files")
    if not isinstance(named, (list, tuple)) or not all(isinstance(each, str) for each in named):
        raise UsageError(f"{path}: `agents` is a list of modules, for instance\nagents: [my_agents.py]")
    if folder is not None and not isinstance(folder, str):
        raise UsageError(f"{path}: `files` is a folder, for instance\nfiles: /srv/graphferry")
    base = path.parent if path is not None else Path()
    return WorkerConfig(
        **_models(path, data.get("models") or {}, base),
        **_permissions(path, data, limits),
        memory=read_memory(data.get("memory"), f"{path}: memory"),
        agents=(*named, *agents),
        folder=base / folder if folder else None,
        token=token,
        accounts=read_accounts(data.get("accounts"), path),
    )


def _models(path: Path | None, entries: Any, base: Path) -> dict[str, Any]:
    """What is offered, by kind, and its prices. Paths of files begin at `base`."""
    if not isinstance(entries, Mapping):
        raise UsageError(f"{path}: `models` is a map of names", hint=f"For instance {_EXAMPLE}")
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _MODEL_KINDS}
    for name, entry in entries.items():
        found[_kind(path, name, entry)][name] = entry
    prices = {name: read_price(entry, f"{path}: models.{name}") for name, entry in entries.items()}
    files = {name: base / str(entry["file"]) for name, entry in found["file"].items()}
    for name, file in files.items():
        if not file.is_file():
            raise UsageError(f"{path}: models.{name}: there is no file {file}")
    return {
        "files": files,
        "servers": {name: read_server(name, entry, f"{path}: models.{name}") for name, entry in found["url"].items()},
        "aliases": {name: str(entry["model"]) for name, entry in found["model"].items()},
        "scripted": tuple(found["scripted"]),
        "prices": {name: price for name, price in prices.items() if price is not None},
    }


def _kind(path: Path | None, name: str, entry: Any) -> str:
    """Which of the kinds of models an entry is."""
    for kind in _MODEL_KINDS:
        if isinstance(entry, Mapping) and entry.get(kind):
            return kind
    raise UsageError(
        f"{path}: models.{name}: expected {{file: PATH}}, {{url: URL}}, {{model: NAME}} or {{scripted: true}}",
        hint=f"For instance {_EXAMPLE}",
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
