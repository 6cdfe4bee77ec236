"""`graphferry serve`: start a worker that devices can ferry work to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from argparse import ArgumentParser, Namespace
from typing import Final

from cloud.config import WorkerConfig, load_worker_config
from cloud.lease import lease
from cloud.server import WorkerServer
from cloud.worker import Worker
from graphs.environment import SWITCH_SECONDS, Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from graphs.loadagents import known_agents
from graphs.models.host import ModelHost
from graphs.models.interface import Models
from graphs.models.seats import pinned_by_name
from graphs.models.servers import ServerModels
from graphs.models.store import ModelStore
from graphs.models.together import Aliased, local_models
from graphs.registry import Registry
from graphs.secrets import Secrets

__all__ = ["add_arguments", "main"]

_LAST_PORT: Final = 65_535


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="0 takes a free one (default: 8765)")
    parser.add_argument("--config", metavar="FILE", help="the worker's configuration")
    parser.add_argument(
        "--agents", action="append", default=[], metavar="MODULE", help="a module with agents of your own; may be repeated"
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="a limit of each run, for instance turns=1000; may be repeated",
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="a file that holds the token devices must show; or set GRAPHFERRY_TOKEN"
    )


def main(args: Namespace, env: Environment) -> int:
    if not 0 <= args.port <= _LAST_PORT:
        raise UsageError(f"--port {args.port}: a port is a number from 0 to {_LAST_PORT}")
    token = _token(args, env)
    config = load_worker_config(
        env.cwd / args.config if args.config else None, agents=tuple(args.agents), token=token, limits=tuple(args.limit)
    )
    agents = _allowed(known_agents(config.agents, folder=env.cwd), config.allow)
    with lease(env.home("cloud")), Journal.open(env.home("cloud") / "journal.db", synchronous="full") as journal:
        folder = str(config.folder) if config.folder else None
        worker = Worker(journal, agents, _models(config, env), files=folder, network=config.network, bounds=config.bounds)
        server = WorkerServer(worker, host=args.host, port=args.port, token=token)
        sys.setswitchinterval(SWITCH_SECONDS)
        return asyncio.run(_serve(server, args, env))


async def _serve(server: WorkerServer, args: Namespace, env: Environment) -> int:
    try:
        url = await server.start()
    except OSError as error:
        raise UsageError(
            f"cannot listen on {args.host}:{args.port}: {error.strerror or error}",
            hint="Choose another --port; 0 takes a free one.",
        ) from error
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread, or no signals here
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stopping.set)
    env.stdout.write(url + "\n")  # last: whoever reads it may end this process at once
    env.stdout.flush()
    try:
        await stopping.wait()
    finally:
        await server.stop()
    return ExitStatus.COMPLETED


def _models(config: WorkerConfig, env: Environment) -> Models:
    memory = pinned_by_name(config.memory, config.aliases)
    host = ModelHost(ModelStore(env.home("models")), files=dict(config.files), memory=memory)
    servers = ServerModels(config.servers, Secrets(env.environ, env.home("cloud")))
    return Aliased(local_models(host, servers=servers, scripted=config.scripted), config.aliases)


def _allowed(agents: Registry, allow: frozenset[str] | None) -> Registry:
    if allow is None:
        return agents
    unknown = sorted(name for name in allow if name not in agents)
    if unknown:
        raise UsageError(f"the worker's configuration allows the agent {unknown[0]!r}, which is not here")
    return agents.only(sorted(allow))


def _token(args: Namespace, env: Environment) -> str | None:
    if args.token_file:
        try:
            token: str = (env.cwd / args.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file {args.token_file} cannot be read: {error}") from error
        if not token:
            raise UsageError(f"--token-file {args.token_file} is empty")
        return token
    return env.environ.get("GRAPHFERRY_TOKEN") or None
