"""Puts the device together from its environment and configuration: journal, agents, models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from edge.config import EdgeConfig
from edge.means import Device
from edge.network.link_policy import is_low
from edge.network.sensing import read_battery, read_conditions
from edge.network.watching import Watched
from edge.people.person import person_at
from edge.planning.keeping import Estimating
from edge.privacy.files import with_labelled_files
from edge.showing.progress import ProgressEvent, unheard
from graphs.environment import Environment
from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.schema import Synchronous
from graphs.loadagents import known_agents
from graphs.models.files.store import DEFAULT_MODEL, ModelStore
from graphs.models.hosting.host import HostOptions, ModelHost
from graphs.models.hosting.memory_settings import pinned_by_name
from graphs.models.interface import Models
from graphs.models.openai.servers import ServerModels
from graphs.models.together import Aliased, local_models
from graphs.secrets import Secrets
from graphs.values import canonical

__all__ = ["device_models", "open_device", "sweep_bodies", "worker_connector"]

_SMALL: Final = "small"
_SWEPT: Final = "bodies swept"
_DAY, _YOUNG = 86_400, 3_600
"""Seconds: how often, and how long a body is left alone that nobody needs, for its run may be about to be written down."""


@contextmanager
def open_device(
    env: Environment,
    config: EdgeConfig,
    *,
    agents: tuple[str, ...] = (),
    synchronous: Synchronous = "full",
    tiers: Mapping[str, str] | None = None,
    emit: Callable[[ProgressEvent], None] = unheard,
    hush: Callable[[bool], None] = lambda _on: None,
) -> Iterator[Device]:
    """The device, its journal open. `agents` are the user's own modules, `tiers` count instead of the configured ones. `hush` is called
    around each question to the person at the terminal.

    The caller closes its models inside the event loop it used them in.
    """
    registry = with_labelled_files(known_agents(agents, folder=env.cwd), config.files, env.cwd)
    models, tiers = device_models(env, config, config.models if tiers is None else tiers)
    watched = Watched(lambda: read_conditions(env.environ, config.link.command))
    with Journal.open(config.journal, synchronous=synchronous) as journal:
        device = Device(
            journal=journal,
            agents=registry,
            models=models,
            tiers=tiers,
            default_model=tiers.get(_SMALL, _SMALL),
            servers=frozenset(name for name, server in config.servers.items() if not server.on_device),
            prices={name: server.price for name, server in config.servers.items() if server.price is not None},
            servers_here=frozenset(name for name, server in config.servers.items() if server.on_device),
            clearance=config.clearance,
            files=str(env.cwd),
            person=person_at(env, hush),
            write=lambda line: print(line, file=env.stderr),
            emit=emit,
            connect=worker_connector(config),
            is_low=lambda: is_low(config.link, watched() if config.link.command else read_battery(env.environ)),
        )
        device.estimator = Estimating(device, watched)
        yield device
        sweep_bodies(journal)


def sweep_bodies(journal: Journal, *, again: bool = False) -> int:
    """Delete bodies that no run of this device needs any more, once a day at most unless `again`; how many they were."""
    now = time.time()
    swept = journal.meta_value(_SWEPT, int)
    if not journal.body_files.folder.exists() or (swept is not None and not again and now - swept < _DAY):
        return 0
    try:
        journal.flush()
        needed = {(row.scope, row.name) for row in journal.bodies()}
        removed = journal.body_files.sweep(needed, now - _YOUNG)
        journal.set_meta(_SWEPT, canonical(int(now)))
    except JournalError:
        return 0  # another day: nothing was lost by it
    return removed


def device_models(env: Environment, config: EdgeConfig, tiers: Mapping[str, str]) -> tuple[Models, dict[str, str]]:
    """The models of the device, and its tiers: `small` is the default model unless the configuration says otherwise."""
    tiers = {**({} if _SMALL in config.servers else {_SMALL: DEFAULT_MODEL}), **tiers}
    servers = ServerModels(config.servers, Secrets(env.environ, env.home("edge")))
    states = HostOptions(states=env.home("edge") / "states")  # not at a worker, where prompts are others'
    host = ModelHost(ModelStore(env.home("models")), memory=pinned_by_name(config.memory, tiers), options=states)
    return Aliased(local_models(host, servers=servers), tiers), tiers


def worker_connector(config: EdgeConfig, held: str | None = None) -> Callable[[str, str | None, Journal, Sequence[bytes]], Any]:
    """What opens the link to a worker: called with its URL, the token, the journal, and the child runs to go on with. `held` is why large values
    wait, if they do.
    """

    async def connect(url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
        from edge.ferrying.connecting import connect_worker
        from edge.pairings import credentials

        token, pinned = credentials(config.home, url, token, plain=config.plain)
        restraint: dict[str, Any] = {"rate": config.link.rate, "held": held, "clearance": config.clearance}
        return await connect_worker(url, token=token, pinned=pinned, journal=journal, grace=config.grace, runs=runs, **restraint)

    return connect
