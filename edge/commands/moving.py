"""`graphferry runs push` and `pull`: a run to the worker, and to this device."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from edge.config import EdgeConfig
from edge.syncing.alone import WAITS
from graphs.environment import Environment, ExitStatus
from graphs.errors import LinkCondition, UsageError
from graphs.journal.ids import run_id_short, run_id_text

if TYPE_CHECKING:
    from edge.runs.fork import Forked
    from graphs.journal import Journal

__all__ = ["add_commands", "pull", "push"]

_FORCE = "if its holder does not answer, go on with a copy that has an id of its own: nothing is taken from the holder"


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
    into: ArgumentParser = commands.add_parser(
        "pull", help="have a run handed over to this device, by the worker or by another device"
    )
    into.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    for each in (out, into):
        each.add_argument("--force", action="store_true", help=_FORCE)
        each.add_argument("--cloud", metavar="URL", help="the worker, if not the configured one")
        each.add_argument("--json", action="store_true", help="print JSON", dest="json_one")


def push(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    """`runs push`."""
    from edge.syncing.handover import push as push_run
    from edge.syncing.held import require_known

    row = journal.run(args.run)
    text = run_id_text(row.run)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; push the run itself")
    if args.hand_over and row.status in ("completed", "cancelled"):
        raise UsageError(f"run {text} is {row.status}: there is nothing to go on with")
    run, forked = row.run, None
    if args.force:
        if not args.hand_over:
            raise UsageError("runs push --force: that is for a run to go on with", hint="Say --continue as well.")
        if require_known(journal, run).holder != journal.store_id:
            run, forked = _pulled(journal, args, config, env)

    def told() -> None:
        env.stderr.write(f"A process of this device works on run {text}: it finishes what it has begun, and lets go of it.\n")

    asyncio.run(
        push_run(
            journal,
            run,
            _connector(journal, args, config),
            hand_over=args.hand_over,
            told=told,
            waits=lambda: env.stderr.write(WAITS),
        )
    )
    text, short = run_id_text(run), run_id_short(run)
    says = {"holder": "worker" if args.hand_over else "device", **_about(row.run, run, forked)}
    said = f"run {text} is the worker's now" if args.hand_over else f"the worker has run {text}, too"
    _say(says, said, args, env)
    if args.hand_over:
        env.stderr.write(f"`graphferry sync` shows how far it is; `graphferry runs pull {short}` brings it back.\n")
    return ExitStatus.COMPLETED


def pull(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    """`runs pull`."""
    run, forked = _pulled(journal, args, config, env)
    source = journal.run(args.run).run
    says = {"holder": "device", **_about(source, run, forked)}
    _say(says, f"run {run_id_text(run)} is this device's now", args, env)
    env.stderr.write(f"Go on with:\n  graphferry resume {run_id_text(run)}\n")
    return ExitStatus.COMPLETED


def _pulled(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> tuple[bytes, Forked | None]:
    """The run that this device holds then: the one that is named, or by force, if its holder is silent, a fork of it."""
    from edge.syncing.handover import HolderSilent, ask_for
    from edge.syncing.held import require_known

    try:
        return asyncio.run(
            ask_for(journal, args.run, _connector(journal, args, config), waits=lambda: env.stderr.write(WAITS))
        ), None
    except (HolderSilent, LinkCondition) as error:
        if not args.force:
            raise
        silent = error
    journal.flush()  # perhaps it came at the very end
    run = journal.run(args.run).run
    standing = require_known(journal, run)
    if standing.holder == journal.store_id:
        return run, None
    if standing.over:
        raise UsageError(f"run {run_id_text(run)} is over.", hint=f"Look at it: graphferry runs show {run_id_short(run)}")
    from edge.commands.forking import kept_of, make_fork

    forked = make_fork(args.run, config, env, forced=True)
    what = f"Run {run_id_text(forked.run)} is a fork of what is known of it here: {kept_of(forked)}"
    env.stderr.write(f"{silent.message}\nRun {run_id_text(run)} stays there. {what}\n")
    return forked.run, forked


def _about(source: bytes, run: bytes, forked: Forked | None) -> dict[str, Any]:
    """What `--json` says of the run that moved."""
    about: dict[str, Any] = {"run": run_id_text(run)}
    if forked is not None:
        about |= {"fork_of": run_id_text(source), "kept": forked.kept, "asks": forked.asked}
    return about


def _say(says: dict[str, Any], said: str, args: Namespace, env: Environment) -> None:
    env.stdout.write((json.dumps(says) if args.json or args.json_one else said) + "\n")


def _connector(journal: Journal, args: Namespace, config: EdgeConfig) -> Any:
    from edge.device import worker_connector

    url = args.cloud or config.url
    if url is None:
        raise UsageError("no worker is configured", hint="Pair with one (graphferry pair), or name it with --cloud URL.")
    connect = worker_connector(config)
    return lambda runs: connect(url, config.token, journal, runs)
