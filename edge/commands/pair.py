"""`graphferry pair URL CODE`: pair this device with a worker. The worker prints both: `graphferry serve pair`."""

from __future__ import annotations

import asyncio
import platform
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import replace

from edge.config import EdgeConfig, load_config
from edge.pair import pair_with
from edge.pairings import Pairings, credentials, device_id, link_url
from edge.privacy.clearance import EDGE, WORKER
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from protocol.pairing import Code

__all__ = ["add_arguments", "main"]

_LONGEST_NAME = 64


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the worker's link URL, as `graphferry serve pair` prints it there")
    parser.add_argument("code", metavar="CODE", nargs="?", help="the one-time code; without it, it is asked for")
    parser.add_argument("--fingerprint", metavar="SHA256", help="insist on the certificate with this fingerprint")
    parser.add_argument("--name", metavar="NAME", help="what the worker's lists call this device (default: this machine's name)")
    parser.add_argument(
        "--as", metavar="NAME", dest="alias", help="what `sensitivity` in this device's configuration calls the worker"
    )


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    url = link_url(args.url)
    credentials(config.home, url, None, plain=config.plain)  # no secret goes where others can read it
    name = args.name or platform.node() or "device"
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"--name: at most {_LONGEST_NAME} printable characters, and no line breaks")
    pairings = Pairings(config.home)
    if args.alias is not None:
        _check_alias(args.alias, url, pairings.names(), config)
    code = Code.parse(args.code if args.code is not None else _asked(env))
    with Journal.open(config.journal) as journal:
        device = device_id(journal.store_id)
    pairing = asyncio.run(pair_with(url, code, device=device, name=name, fingerprint=args.fingerprint))
    pairings.put(replace(pairing, alias=args.alias))
    lines = [f"paired with {url} as {name!r}, account {pairing.account}"]
    if pairing.fingerprint is not None:
        lines.append(f"its certificate is pinned: {pairing.fingerprint}")
    chosen = load_config(env).url
    lines.append("runs use it from now on" if chosen == url else f"runs use {chosen} as before; name this one with --cloud {url}")
    env.stdout.write("\n".join(lines) + "\n")
    return ExitStatus.COMPLETED


def _check_alias(alias: str, url: str, known: Mapping[str, str], config: EdgeConfig) -> None:
    """Raises UsageError for a name that is none, or that means something else."""
    if not alias.isprintable() or not alias.strip() or "://" in alias or len(alias) > _LONGEST_NAME:
        raise UsageError(f"--as: a name has at most {_LONGEST_NAME} printable characters, and is no URL")
    taken = {EDGE, WORKER, *config.servers} | {name for name, at in known.items() if at != url}
    if alias in taken:
        raise UsageError(
            f"--as {alias}: that name means something else already", hint="Nothing was sent, and the code is still good."
        )


def _asked(env: Environment) -> str:
    env.stderr.write("code: ")
    env.stderr.flush()
    if not (line := env.stdin.readline()):
        env.stderr.write("\n")
        raise UsageError(
            "no code was given", hint="Say it after the URL, or type it here. `graphferry serve pair` prints it at the worker."
        )
    return line
