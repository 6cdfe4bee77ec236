"""`graphferry runs`: list the runs of this device; `runs cancel RUN`: end one; `runs mark RUN`: mark one for sync.

The others have modules of their own: `showing`, `forking`, `moving`, `keeping`.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import Final

from edge.commands import forking, keeping, moving, showing
from edge.commands.options import positive
from edge.config import EdgeConfig, load_config
from edge.people.answers import asking_runs
from edge.syncing.spool import over_the_bound, spooled, total
from edge.syncing.state import run_states
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from graphs.journal.ids import run_id_text
from graphs.terminal import printable
from protocol.marks import mark

__all__ = ["add_arguments", "main"]

_OVER: Final = ("completed", "cancelled")
_FORKING: Final = {"fork": forking.fork, "replay": forking.replay}
_MOVING: Final = {"push": moving.push, "pull": moving.pull}
_KEEPING: Final = {"export": keeping.export, "import": keeping.take_in, "prune": keeping.prune, "rm": keeping.remove}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="how many to list, newest first")
    commands = parser.add_subparsers(dest="action", metavar="show|cancel|fork|replay|mark|push|pull|export|import|rm|prune")
    show = commands.add_parser("show", help="one run: its nodes, results and errors")
    show.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    show.add_argument("--json", action="store_true", help="print JSON", dest="json_one")
    cancel = commands.add_parser("cancel", help="end a run that is suspended or was cut off, here and at its worker")
    cancel.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    cancel.add_argument("--cloud", metavar="URL", help="the worker that may still work for it, if not the configured one")
    forking.add_commands(commands)
    marks = commands.add_parser("mark", help="mark a run for sync: it goes to the worker and to your other devices")
    marks.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    marks.add_argument("--off", action="store_true", help="no longer; what is elsewhere stays there")
    moving.add_commands(commands)
    keeping.add_commands(commands)


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    if not config.journal.is_file() and args.action not in ("import", "pull"):
        if args.action is not None:
            raise UsageError(f"there is no journal at {config.journal}, so there are no runs")
        env.stdout.write("[]\n" if args.json else "no runs yet\n")
        return ExitStatus.COMPLETED
    if args.action in _FORKING:
        return _FORKING[args.action](args, config, env)
    with Journal.open(config.journal) as journal:
        if args.action == "cancel":
            return _cancel(journal, args, config, env)
        if args.action in _MOVING:
            return _MOVING[args.action](journal, args, config, env)
        if args.action == "mark":
            return _mark(journal, args, config, env)
        if args.action in _KEEPING:
            return _KEEPING[args.action](journal, args, env)
        if args.action == "show":
            return showing.show(journal, args.run, config, as_json=args.json or args.json_one, env=env)
        return _list(journal, args, env)


def _list(journal: Journal, args: Namespace, env: Environment) -> int:
    rows = journal.runs(args.limit, role="root")
    asks = {row.run: [each.question.path for each in found if each.open] for row, found in asking_runs(journal, rows)}
    states = run_states(journal, rows)
    if args.json:
        entries = [
            {
                "run": run_id_text(row.run),
                "graph": row.name,
                "status": row.status,
                "started": row.started,
                "ended": row.ended,
                **states[row.run].as_json(),
                **({"questions": asks[row.run]} if row.run in asks else {}),
            }
            for row in rows
        ]
        env.stdout.write(json.dumps(entries) + "\n")
        return ExitStatus.COMPLETED
    if not rows:
        env.stdout.write("no runs yet\n")
    for row in rows:
        began = datetime.fromtimestamp(row.started / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        state = states[row.run]
        status = "cut off" if state.cut_off else row.status
        besides = _besides(state.words(), asks.get(row.run))
        env.stdout.write(f"{run_id_text(row.run)}  {began}  {status:<10} {printable(row.name)}{besides}\n")
    return ExitStatus.COMPLETED


def _besides(words: list[str], asked: list[str] | None) -> str:
    """What stands behind a run in the list."""
    said = [*map(printable, words), *([f"asks: {', '.join(map(printable, asked))}"] if asked else [])]
    return f"  ({'; '.join(said)})" if said else ""


def _cancel(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    import asyncio

    from edge.device import worker_connector
    from edge.runs.cancel import ask_to_cancel, cancel_run
    from edge.runs.resting import relieving
    from edge.syncing.held import require_known

    row = journal.run(args.run)
    text = run_id_text(row.run)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; cancel the run itself")
    if row.status in _OVER:
        raise UsageError(f"run {text} is over: it is {row.status}")
    url = args.cloud or config.url

    async def cancelled() -> list[bytes] | bytes:
        """The child runs of which nobody could be told; or, if the run is another store's, which one was asked."""

        def told() -> None:
            env.stderr.write("a process works on it, and is told to end it\n")

        async with relieving(config.journal, row.run, stop=True, told=told):
            if (status := journal.run(row.run).status) == "completed":
                raise UsageError(f"run {text} is over: it is {status}")
            if (holder := require_known(journal, row.run).holder) != journal.store_id:
                await ask_to_cancel(journal, row.run)
                return holder
            return await cancel_run(journal, row.run, url=url, token=config.token, connect=worker_connector(config))

    untold = asyncio.run(cancelled())
    if isinstance(untold, bytes):
        env.stdout.write(f"run {text} is held by the store {untold.hex()}, which is asked to cancel it\n")
        env.stderr.write("That goes along with `graphferry sync`; the run ends when its holder has synced, too.\n")
        return ExitStatus.COMPLETED
    env.stdout.write(f"run {text} is cancelled\n")
    if untold:
        where = f"at {url} could not be told" if url else "could not be told: none is configured"
        env.stderr.write(
            f"The worker {where}; what it was doing for this run it ends by itself when nobody has asked for a week.\n"
        )
    return ExitStatus.COMPLETED


def _mark(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    row = journal.run(args.run)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; mark the run itself")
    mark(journal, row.run, on=not args.off)
    journal.flush()
    if not args.off and (warning := over_the_bound(total(spooled(journal)), config.link)) is not None:
        env.stderr.write(f"warning: {warning}\n")
    env.stdout.write(f"run {run_id_text(row.run)} {'is not synced any more' if args.off else 'goes along with the next sync'}\n")
    return ExitStatus.COMPLETED
