"""`sensitivity` and `workers` of the device's configuration, read into a `Clearance`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from edge.pairings import link_url
from edge.privacy.clearance import EDGE, WORKER, Clearance
from graphs.errors import UsageError
from graphs.models.openai.servers import Server

__all__ = ["read_clearance", "worker_place"]

_EXAMPLE: Final = "sensitivity: {private: edge, internal: [edge, our-worker]}\nworkers: {our-worker: wss://worker.example:8765}"


def read_clearance(
    data: Mapping[str, Any],
    url: str | None,
    servers: Mapping[str, Server],
    where: object,
    paired: Mapping[str, str] = MappingProxyType({}),
) -> Clearance:
    """What a configuration says of labels; `url` is its worker, `paired` are the URLs of workers by the names they were given when this device was
    paired with them. Raises UsageError naming the entry that is wrong.
    """
    said, workers = data.get("sensitivity") or {}, data.get("workers") or {}
    if not isinstance(workers, Mapping) or not all(isinstance(each, str) for pair in workers.items() for each in pair):
        raise UsageError(f"{where}: `workers` is a map of names to link URLs, for instance\n{_EXAMPLE}")
    known = {name: link_url(address) for name, address in workers.items()}
    if taken := sorted(set(known) & {EDGE, WORKER, *servers}):
        raise UsageError(f"{where}: workers.{taken[0]}: that name means something else already")
    for name, at in paired.items():
        if name in {EDGE, WORKER, *servers} or known.get(name, at) != at:
            what = "of a worker this device is paired with, and of something else in the configuration"
            raise UsageError(
                f"{where}: {name!r} is the name {what}", hint="Rename the one in the configuration, or pair again with --as."
            )
    known = {**paired, **known}
    if not isinstance(said, Mapping) or not all(isinstance(label, str) and label for label in said):
        raise UsageError(f"{where}: `sensitivity` is a map of labels to places, for instance\n{_EXAMPLE}")
    here = frozenset(name for name, server in servers.items() if server.on_device)
    places = {label: _places(each, known, url, servers, f"{where}: sensitivity.{label}") for label, each in said.items()}
    worker = None if url is None else worker_place(url)
    names = {**{at: name for name, at in known.items()}, **({worker: WORKER} if worker is not None else {})}
    return Clearance(places, worker=worker, here=here, names=names)


def worker_place(url: str) -> str:
    """How a clearance names the worker at this URL: in the one form of it, if it has one."""
    try:
        return link_url(url)
    except UsageError:
        return url


def _places(said: Any, workers: Mapping[str, str], url: str | None, servers: Collection[str], where: str) -> frozenset[str]:
    words = [each.strip() for each in said.split(",")] if isinstance(said, str) else said
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{where}: a place or a list of places is expected, for instance\n{_EXAMPLE}")
    found: set[str] = set()
    for word in words:
        if word == EDGE:
            continue
        if word == WORKER:
            found.update([worker_place(url)] if url is not None else ())
        elif word in workers:
            found.add(workers[word])
        elif word in servers:
            found.add(word)
        elif "://" in word:
            found.add(link_url(word))
        else:
            names = ", ".join([EDGE, WORKER, *sorted(workers), *sorted(servers)])
            raise UsageError(f"{where}: there is no place {word!r}; known are {names}, and link URLs", hint=_EXAMPLE)
    return frozenset(found)
