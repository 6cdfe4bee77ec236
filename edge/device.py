"""Puts the device together from its environment and configuration: journal, agents, models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from edge.config import EdgeConfig
from edge.progress import ProgressEvent
from edge.runner import Device
from graphs.environment import Environment
from graphs.journal import Journal
from graphs.journal.schema import Synchronous
from graphs.loadagents import known_agents
from graphs.models.host import ModelHost
from graphs.models.store import DEFAULT_MODEL, ModelStore
from graphs.models.together import Aliased, local_models

__all__ = ["open_device"]

_SMALL: Final = "small"


@contextmanager
def open_device(
    env: Environment,
    config: EdgeConfig,
    *,
    agents: tuple[str, ...] = (),
    synchronous: Synchronous = "full",
    tiers: Mapping[str, str] | None = None,
    emit: Callable[[ProgressEvent], None] = lambda _event: None,
) -> Iterator[Device]:
    """The device, its journal open. `agents` are the user's own modules, `tiers` count instead of the configured ones.

    The caller closes its models inside the event loop it used them in.
    """
    registry = known_agents(agents, folder=env.cwd)
    tiers = {_SMALL: DEFAULT_MODEL, **(config.models if tiers is None else tiers)}
    models = Aliased(local_models(ModelHost(ModelStore(env.home("models")))), tiers)
    with Journal.open(config.journal, synchronous=synchronous) as journal:
        yield Device(
            journal=journal,
            agents=registry,
            models=models,
            tiers=tiers,
            default_model=tiers[_SMALL],
            files=str(env.cwd),
            ask=_asker(env),
            write=lambda line: print(line, file=env.stderr),
            emit=emit,
            connect=partial(_connect, config),
        )


async def _connect(config: EdgeConfig, url: str, token: str | None, journal: Journal) -> Any:
    from edge.pairings import credentials
    from edge.worker import connect_worker

    token, pinned = credentials(config.home, url, token, plain=config.plain)
    return await connect_worker(url, token=token, pinned=pinned, journal=journal)


def _asker(env: Environment) -> Callable[[str], Any] | None:
    """Asks the person at the terminal; None where there is none."""
    if not env.stdin.isatty():
        return None

    async def ask(message: str) -> str:
        import asyncio

        env.stderr.write(f"{message}: ")
        env.stderr.flush()
        return (await asyncio.to_thread(env.stdin.readline)).rstrip("\n")

    return ask
