"""`graphferry serve`: start a worker that devices can ferry work to; `serve pair` and `serve devices` say which devices may come."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import ssl
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from cloud.access import Access
from cloud.config import WorkerConfig, load_worker_config
from cloud.devices import DeviceStore
from cloud.lease import lease
from cloud.server import WorkerServer
from cloud.serving import Serving
from cloud.space import Space, wait_for_space
from cloud.worker import Worker
from graphs.environment import SWITCH_SECONDS, Environment, ExitStatus
from graphs.errors import ModelMissing, UsageError, why_failed
from graphs.journal import Journal
from graphs.loadagents import known_agents
from graphs.models.files.store import ModelStore
from graphs.models.hosting.host import ModelHost
from graphs.models.hosting.memory_settings import pinned_by_name
from graphs.models.interface import Models
from graphs.models.openai.servers import ServerModels
from graphs.models.together import Aliased, local_models
from graphs.registry import Registry
from graphs.secrets import Secrets
from protocol.tls import certificate_fingerprint, server_context
from protocol.transport import LOOPBACK

__all__ = ["add_arguments", "main"]

_LAST_PORT: Final = 65_535
_PORT_HINT: Final = "Choose another --port; 0 takes a free one."
_HOST_HINT: Final = "--host is an address of this machine: 127.0.0.1 for itself alone, 0.0.0.0 for all it has."
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not listened on


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 is all (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="0 takes a free one (default: 8765)")
    parser.add_argument(
        "--public", metavar="NAME", help="the host name devices know this worker by (default: --host, or this machine's name)"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the worker's configuration (default: cloud/worker.yaml in GRAPHFERRY_HOME, if it is there)",
    )
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
        "--token-file", metavar="FILE", help="a file that holds a token for devices that are not paired; or set GRAPHFERRY_TOKEN"
    )
    parser.add_argument(
        "--tls-cert", metavar="FILE", help="a certificate with its chain, PEM; without one a self-signed one is made"
    )
    parser.add_argument("--tls-key", metavar="FILE", help="its key, PEM, unless it is in the same file")
    parser.add_argument(
        "--tls",
        action=BooleanOptionalAction,
        help="with --no-tls nothing is encrypted: only behind a proxy that does it (default: TLS, but not on loopback)",
    )
    actions = parser.add_subparsers(dest="action", metavar="pair | devices")
    pair = actions.add_parser("pair", help="print a one-time code with which a device pairs with the worker that serves here")
    pair.add_argument("--account", metavar="NAME", help="the account of the device (default: default)")
    pair.add_argument("--json", action="store_true", help="print JSON")
    devices = actions.add_parser("devices", help="list the devices that may come, or end one's access")
    devices.add_argument("--json", action="store_true", help="print JSON")
    which = devices.add_subparsers(dest="devices_action", metavar="revoke")
    revoke = which.add_parser("revoke", help="end a device's access, at once")
    revoke.add_argument("device", metavar="DEVICE", help="its name, or the beginning of its id")


def main(args: Namespace, env: Environment) -> int:
    if args.action is not None:
        from cloud.commands.devices import manage

        return manage(args, env)
    if not 0 <= args.port <= _LAST_PORT:
        raise UsageError(f"--port {args.port}: a port is a number from 0 to {_LAST_PORT}")
    token = _token(args, env)
    config = load_worker_config(_config_file(args, env), agents=tuple(args.agents), token=token, limits=tuple(args.limit))
    door = _door(args, env)
    agents = _allowed(known_agents(config.agents, folder=env.cwd), config.allow)
    home = env.home("cloud")
    if not asyncio.run(_room(Space(home), door, args, env)):
        return ExitStatus.COMPLETED
    with (
        lease(home),
        Journal.open(home / "journal.db", synchronous="full", alone=True) as journal,
        DeviceStore(home / "devices.db") as devices,
    ):
        folder = str(config.folder) if config.folder else None
        models = _models(config, env)
        worker = Worker(
            journal,
            agents,
            models,
            files=folder,
            network=config.network,
            bounds=config.bounds,
            prices=config.prices,
        )
        access = Access(config.accounts, token=token, devices=devices, anybody=args.host in LOOPBACK, bindings=door.bindings)
        server = WorkerServer(
            worker, host=args.host, port=args.port, access=access, tls=door.tls, plain=args.tls is False, public=door.public
        )
        if args.host not in LOOPBACK and door.tls is None:
            env.stderr.write("nothing is encrypted (--no-tls): let nobody but a proxy that speaks TLS reach this address\n")
        for lack in _lacking(models, config):
            env.stderr.write(f"warning: {lack}\n")
        if args.host not in LOOPBACK and token is None and not devices.devices():
            env.stderr.write("no device may come yet; `graphferry serve pair` prints what to type on one\n")
        sys.setswitchinterval(SWITCH_SECONDS)
        return asyncio.run(_serve(server, door, args, env, list(config.accounts)))


def _config_file(args: Namespace, env: Environment) -> Path | None:
    """The file that was named, or the one in this worker's folder; None if there is neither."""
    if args.config:
        return env.cwd / str(args.config)
    usual = env.home("cloud") / "worker.yaml"
    return usual if usual.exists() or usual.is_symlink() else None  # a link that leads nowhere was meant to be read


class _Door(NamedTuple):
    """How devices reach this worker. `pinned` is the fingerprint they are to pin, `bindings` what they may see when they pair."""

    tls: ssl.SSLContext | None
    public: str | None
    pinned: str | None
    bindings: tuple[str, ...]


def _door(args: Namespace, env: Environment) -> _Door:
    public = args.public or (socket.gethostname() if args.host in _EVERYWHERE else None)
    if args.tls is False and (args.tls_cert or args.tls_key):
        raise UsageError("--no-tls and --tls-cert contradict each other")
    if args.tls_key and not args.tls_cert:
        raise UsageError("--tls-key is the key of a certificate: give --tls-cert, too")
    if args.tls_cert:
        certificate = env.cwd / args.tls_cert
        context = server_context(certificate, env.cwd / args.tls_key if args.tls_key else None)
        return _Door(context, public, None, ("", certificate_fingerprint(certificate)))
    if args.tls is False or (args.tls is None and args.host in LOOPBACK):
        return _Door(None, public, None, ("",))
    own = _own_certificate(env.home("cloud") / "certificate.pem", args.host, public)
    pinned = certificate_fingerprint(own)
    return _Door(server_context(own), public, pinned, (pinned,))


def _own_certificate(path: Path, host: str, public: str | None) -> Path:
    from cloud.certificate import own_certificate

    names = dict.fromkeys([each for each in (public, host, socket.gethostname(), "localhost", "127.0.0.1") if each])
    return own_certificate(path, [name for name in names if name not in _EVERYWHERE])


async def _room(space: Space, door: _Door, args: Namespace, env: Environment) -> bool:
    """Returns when there is room on the disk: False if this process was told to end before."""

    def tell(why: str) -> None:
        env.stderr.write(f"waiting: {why}. Free some; this worker then goes on by itself\n")
        env.stderr.flush()

    stopping = _stopping()
    waiting = wait_for_space(space, args.host, args.port, tls=door.tls, plain=args.tls is False, tell=tell)
    waits, stopped = asyncio.ensure_future(waiting), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((waits, stopped), return_when=asyncio.FIRST_COMPLETED)
        if waits.done():
            with _listening(args):
                waits.result()
        return waits.done()
    finally:
        for task in (waits, stopped):
            task.cancel()
        await asyncio.gather(waits, stopped, return_exceptions=True)


def _stopping() -> asyncio.Event:
    """Is set when this process is told to end."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread, or no signals here
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stopping.set)
    return stopping


@contextlib.contextmanager
def _listening(args: Namespace) -> Iterator[None]:
    """Says why an address cannot be listened on."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot listen on {args.host}:{args.port}: {os.strerror(error.errno) if error.errno else error}",
            hint=_PORT_HINT if error.errno in (errno.EADDRINUSE, errno.EACCES) else _HOST_HINT,
        ) from error


async def _serve(server: WorkerServer, door: _Door, args: Namespace, env: Environment, accounts: list[str]) -> int:
    with _listening(args):
        url = await server.start()
    serving = Serving(url, door.pinned, accounts, os.getpid())
    serving.write(env.home("cloud"))
    stopping = _stopping()
    loop = asyncio.get_running_loop()
    env.stdout.write(url + "\n")  # last: whoever reads it may end this process at once
    env.stdout.flush()
    stopped, broken = loop.create_task(stopping.wait()), loop.create_task(server.broken())
    try:
        await asyncio.wait((stopped, broken), return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            raise broken.result()  # nothing could be kept any more: whoever watches this process starts the next one
    finally:
        for task in (stopped, broken):
            task.cancel()
        serving.remove(env.home("cloud"))
        await server.stop()
    return ExitStatus.COMPLETED


def _models(config: WorkerConfig, env: Environment) -> Models:
    memory = pinned_by_name(config.memory, config.aliases)
    host = ModelHost(ModelStore(env.home("models")), files=dict(config.files), memory=memory)
    servers = ServerModels(config.servers, Secrets(env.environ, env.home("cloud")))
    return Aliased(local_models(host, servers=servers, scripted=config.scripted), config.aliases)


def _lacking(models: Models, config: WorkerConfig) -> Iterator[str]:
    """What to say of models that are configured and not here: no device is offered them, and nobody else would tell."""
    for name, model in config.aliases.items():
        try:
            models.describe(name)
        except ModelMissing as error:
            yield f"models.{name} is offered to nobody: {error.message} ({model!r} in the configuration)"


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
            raise UsageError(f"--token-file {args.token_file} cannot be read: {why_failed(error)}") from error
        if not token:
            raise UsageError(f"--token-file {args.token_file} is empty")
        return token
    return env.environ.get("GRAPHFERRY_TOKEN") or None
