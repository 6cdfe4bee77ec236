"""The worker's configuration: `worker.yaml`, and what the command line says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cloud.accounts import DEFAULT, Account, read_accounts
from graphs.errors import UsageError
from graphs.settings import read_settings

__all__ = ["WorkerConfig", "load_worker_config"]

_EXAMPLE: Final = "models: {large: {file: /models/large.gguf}}"
_MODEL_KINDS: Final = ("file", "model", "scripted")


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker serves. `files` are GGUF files by model name, `scripted` names of models that say back what they are told.

    `folder` is where files may be read and written by agents; None grants no files. `accounts` are by name, the default one among them.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    scripted: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    folder: Path | None = None
    token: str | None = field(default=None, repr=False)
    accounts: Mapping[str, Account] = field(default_factory=lambda: {DEFAULT: Account()})


def load_worker_config(path: Path | None, *, agents: tuple[str, ...] = (), token: str | None = None) -> WorkerConfig:
    """The configuration in a file, with the command line's agents added. Raises UsageError naming the file and the entry that
    is wrong.
    """
    data = read_settings(path) if path is not None else {}
    known = {"models", "agents", "files", "accounts"}
    for key in data:
        if key not in known:
            raise UsageError(f"{path}: unknown entry {key!r}; known are {', '.join(sorted(known))}")
    models = data.get("models") or {}
    if not isinstance(models, Mapping):
        raise UsageError(f"{path}: `models` is a map of names, for instance\n{_EXAMPLE}")
    files, aliases, scripted = {}, {}, []
    base = path.parent if path is not None else Path()
    for name, entry in models.items():
        kind = next((each for each in _MODEL_KINDS if isinstance(entry, Mapping) and entry.get(each)), None)
        if kind is None:
            raise UsageError(
                f"{path}: models.{name}: expected {{file: PATH}}, {{model: NAME}} or {{scripted: true}}, for instance\n{_EXAMPLE}"
            )
        if kind == "file":
            files[name] = base / str(entry["file"])
            if not files[name].is_file():
                raise UsageError(f"{path}: models.{name}: there is no file {files[name]}")
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
        files=files,
        aliases=aliases,
        scripted=tuple(scripted),
        agents=(*named, *agents),
        folder=base / folder if folder else None,
        token=token,
        accounts=read_accounts(data.get("accounts"), path),
    )
