"""The device's configuration: `edge/config.yaml` in the home folder, and where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.network.link_policy import LinkPolicy, read_link_policy
from edge.pairings import Pairings
from edge.placing.facts import OFFLINE, Offline
from edge.placing.wishes import MINIMISED, Wishes
from edge.privacy.clearance import NOWHERE, Clearance
from edge.privacy.files import LabelledFiles, read_files
from edge.privacy.settings import read_clearance
from graphs.environment import Environment
from graphs.errors import UsageError
from graphs.models.hosting.memory_settings import MemoryOptions, read_memory
from graphs.models.openai.servers import Server, read_server
from graphs.settings import read_settings, unknown_entry

__all__ = ["GRACE", "EdgeConfig", "load_config"]

_KEYS: Final = {
    "cloud": "map with `url`, `grace` in seconds, and `plain: true` for a ws URL that leads elsewhere than to this machine",
    "models": "map of tier or name to a model's name, or to a server with `url`",
    "memory": "map with `budget`, `keep_alive` and `pin`",
    "offline": "true or false",
    "when_offline": "wait, local or fail",
    "placement": "map with `minimise` (latency, cost or energy) and `budget`, the most that a run may cost (USD)",
    "sync": "true (every new run is marked for sync) or false",
    "link": "map with `metered`, `battery`, `rate`, `spool` and `conditions`",
    "sensitivity": "map of a label to the places where its values may be",
    "workers": "map of names to workers' link URLs, for `sensitivity`; workers that were paired with --as have one already",
    "files": "map of folders to the labels of what is read there",
}

GRACE: Final = 10.0
"""Seconds that a lost connection to a worker may take to come back before what waits for it is suspended."""


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """What the user of a device decided once.

    `url` is the worker's link URL, by default that of the worker this device was paired with last, `grace` the seconds that a lost
    connection to it may take to come back, `plain` allows one without TLS elsewhere than on this machine. `models` maps tiers and other
    names to names of models, `servers` are models behind servers by name, `memory` is what models may take together, `offline` forbids
    the network, `when_offline` is what nodes do whose worker is not reached if nobody else says so, `sync` marks every new run for sync, `link` is
    what waits and how fast it goes, `wishes` is what nodes that could be anywhere are placed for, `token`
    is what the worker wants to see. `clearance` is which sensitivity labels may go where, `files` which ones files have.
    """

    home: Path
    url: str | None = None
    grace: float = GRACE
    models: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    memory: MemoryOptions = field(default_factory=MemoryOptions)
    offline: bool = False
    when_offline: Offline | None = None
    sync: bool = False
    link: LinkPolicy = field(default_factory=LinkPolicy)
    wishes: Wishes = field(default_factory=Wishes)
    token: str | None = field(default=None, repr=False)
    plain: bool = False
    clearance: Clearance = NOWHERE
    files: LabelledFiles = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        """The device's journal."""
        return self.home / "journal.db"


def load_config(env: Environment) -> EdgeConfig:
    """The configuration of this device; defaults where there is no file. Raises UsageError naming the file and the entry that is
    wrong.
    """
    home = env.home("edge")
    path = home / "config.yaml"
    data = read_settings(path) if path.is_file() else {}
    for key in data:
        if key not in _KEYS:
            raise unknown_entry(path, key, _KEYS)
    cloud = data.get("cloud") or {}
    models = data.get("models") or {}
    if (
        not isinstance(cloud, Mapping)
        or not isinstance(cloud.get("url", ""), str)
        or type(cloud.get("grace", 0)) not in (int, float)
        or set(cloud) - {"url", "grace", "plain"}
    ):
        raise UsageError(f"{path}: `cloud` is a {_KEYS['cloud']}, for instance\ncloud: {{url: ws://127.0.0.1:8765/v1/link}}")
    if not isinstance(cloud.get("plain", False), bool):
        raise UsageError(f"{path}: `cloud.plain` is true or false")
    if not isinstance(models, Mapping) or not all(_is_model(*pair) for pair in models.items()):
        raise UsageError(f"{path}: `models` is a {_KEYS['models']}, for instance\nmodels: {{small: smollm2-135m}}")
    if not isinstance(data.get("offline", False), bool):
        raise UsageError(f"{path}: `offline` is {_KEYS['offline']}")
    if data.get("when_offline") not in (None, *OFFLINE):
        raise UsageError(f"{path}: `when_offline` is {_KEYS['when_offline']}")
    if not isinstance(data.get("sync", False), bool):
        raise UsageError(f"{path}: `sync` is {_KEYS['sync']}")
    url = env.environ.get("GRAPHFERRY_CLOUD") or cloud.get("url") or _paired(home)
    servers = {
        name: read_server(name, entry, f"{path}: models.{name}") for name, entry in models.items() if not isinstance(entry, str)
    }
    return EdgeConfig(
        home=home,
        url=url,
        grace=cloud.get("grace", GRACE),
        models={name: model for name, model in models.items() if isinstance(model, str)},
        servers=servers,
        memory=read_memory(data.get("memory"), f"{path}: memory"),
        offline=data.get("offline", False),
        when_offline=data.get("when_offline"),
        sync=data.get("sync", False),
        link=read_link_policy(data.get("link"), f"{path}: link"),
        wishes=_wishes(data.get("placement"), path),
        token=env.environ.get("GRAPHFERRY_TOKEN"),
        plain=cloud.get("plain", False),
        clearance=read_clearance(data, url, servers, path, Pairings(home).names() if "sensitivity" in data else {}),
        files=read_files(data.get("files"), path),
    )


def _is_model(name: object, entry: object) -> bool:
    return isinstance(name, str) and (isinstance(entry, str) or (isinstance(entry, Mapping) and "url" in entry))


def _wishes(said: object, path: Path) -> Wishes:
    said = {} if said is None else said
    if not isinstance(said, Mapping) or set(said) - {"minimise", "budget"} or said.get("minimise") not in (None, *MINIMISED):
        raise UsageError(f"{path}: `placement` is a {_KEYS['placement']}, for instance\nplacement: {{minimise: cost}}")
    budget = said.get("budget")
    if budget is not None and (type(budget) not in (int, float) or not 0 <= budget < float("inf")):
        raise UsageError(f"{path}: `placement.budget` is an amount in USD, 0 or more")
    return Wishes(said.get("minimise"), budget=budget)


def _paired(home: Path) -> str | None:
    pairings = Pairings(home)
    return pairings.last if pairings.path.is_file() else None
