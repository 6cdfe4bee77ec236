"""`graphferry runs push` and `pull`: a run to the worker, and to this device."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from edge.config import EdgeConfig
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal.ids import run_id_short, run_id_text

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["add_commands", "pull", "push"]


def add_commands(commands: Any) -> None:
    """Adds the two to the commands of `graphferry runs`."""
    out: ArgumentParser = commands.add_parser("push", help="give the worker a copy of a run, or the run itself")
    out.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    out.add_argument(
        "--continue",
        action="store_true",
        dest="hand_over",
        help="hand the run over: the worker goes on with it, this device does not",
    )
    out.add_argument("--cloud", metavar="URL", help="the worker, if not the configured one")
    into = commands.add_parser("pull", help="have a run handed over to this device, by the worker or by another device")
    into.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    into.add_argument("--cloud", metavar="URL", help="the worker, if not the configured one")


def push(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    """`runs push`."""
    from edge.syncing.handover import push as push_run

    row = journal.run(args.run)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; push the run itself")
    if args.hand_over and row.status in ("completed", "cancelled"):
        raise UsageError(f"run {run_id_text(row.run)} is {row.status}: there is nothing to go on with")
    asyncio.run(push_run(journal, row.run, _connector(journal, args, config), hand_over=args.hand_over))
    short = run_id_short(row.run)
    if args.hand_over:
        env.stdout.write(f"run {run_id_text(row.run)} is the worker's now\n")
        env.stderr.write(f"`graphferry sync` shows how far it is; `graphferry runs pull {short}` brings it back.\n")
    else:
        env.stdout.write(f"the worker has run {run_id_text(row.run)}, too\n")
    return ExitStatus.COMPLETED


def pull(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    """`runs pull`."""
    from edge.syncing.handover import ask_for

    run = asyncio.run(ask_for(journal, args.run, _connector(journal, args, config)))
    env.stdout.write(f"run {run_id_text(run)} is this device's now\n")
    env.stderr.write(f"Go on with:\n  graphferry resume {run_id_text(run)}\n")
    return ExitStatus.COMPLETED


def _connector(journal: Journal, args: Namespace, config: EdgeConfig) -> Any:
    from edge.device import worker_connector

    url = args.cloud or config.url
    if url is None:
        raise UsageError("no worker is configured", hint="Pair with one (graphferry pair), or name it with --cloud URL.")
    connect = worker_connector(config)
    return lambda runs: connect(url, config.token, journal, runs)
