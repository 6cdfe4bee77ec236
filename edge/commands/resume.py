"""`graphferry resume RUN`: go on with a run that was suspended, interrupted, failed or cut off."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from edge.commands.options import add_run_options, read_value, run_options
from edge.commands.running import carry_out
from edge.config import load_config
from edge.device import open_device
from edge.means import Device, RunOptions
from edge.runs.assume import FORMS, Assumption
from edge.runs.fork import require_whole
from edge.runs.resuming import resume_run
from edge.showing.progress import ProgressEvent, open_progress
from edge.syncing.held import require_held
from graphs.environment import Environment
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal, RunRow
from graphs.journal.ids import run_id_short, run_id_text
from graphs.language.spec import Graph
from graphs.records import State, Submit
from graphs.values import decode
from protocol.refill import resolved_here

__all__ = ["ASSUME", "add_arguments", "main", "open_resumed", "parse_assumptions", "read_order", "stored_graph"]

ASSUME: Final = "what became of a node with effects that was in flight: done:VALUE, done, failed, or rerun to run it again"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    parser.add_argument("--assume", action="append", default=[], metavar="NODE=WHAT", help=ASSUME)
    add_run_options(parser)


def parse_assumptions(words: Iterable[str], env: Environment) -> list[Assumption]:
    """`NODE=done:VALUE`, `NODE=done`, `NODE=failed` and `NODE=rerun`. Raises UsageError."""
    found = []
    for each in words:
        path, _, what = each.partition("=")
        if path and what in ("done", "failed", "rerun"):
            found.append(Assumption(path, what))  # type: ignore[arg-type]  # one of the three
        elif path and what.startswith("done:"):
            found.append(Assumption(path, "done", read_value(what.removeprefix("done:"), env)))
        else:
            raise UsageError(f"--assume {each}: expected {FORMS}")
    return found


def main(args: Namespace, env: Environment) -> int:
    assumed = parse_assumptions(args.assume, env)
    with (
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_resumed(args, env, emit=progress.emit, hush=progress.hush) as (device, graph, options, row),
    ):
        run = resume_run(device, graph, options, row.run, name=row.name, assumed=assumed)
        return carry_out(run, device, progress, args=args, env=env)


@contextmanager
def open_resumed(
    args: Namespace,
    env: Environment,
    emit: Callable[[ProgressEvent], None] = lambda _event: None,
    hush: Callable[[bool], None] = lambda _on: None,
) -> Iterator[tuple[Device, Graph, RunOptions, RunRow]]:
    """The device, and what a run is that is to go on; `args` are those of this command. Raises UsageError for one that cannot."""
    config = load_config(env)
    if not config.journal.is_file():
        raise UsageError(f"there is no journal at {config.journal}, so there is nothing to resume")
    with Journal.open(config.journal) as journal:
        row = journal.run(args.run)
        if row.role != "root":
            raise UsageError(f"{args.run} is the part of a run that a worker ran; resume the run itself")
        if row.status in ("completed", "cancelled"):
            raise UsageError(
                f"run {run_id_text(row.run)} is {row.status}", hint=f"Look at it: graphferry runs show {run_id_text(row.run)}"
            )
        if require_held(journal, row.run).stopping:
            raise UsageError(
                f"run {run_id_text(row.run)} was cancelled on another device.",
                hint=f"`graphferry sync` ends it; `graphferry runs fork {run_id_short(row.run)}` makes a copy with an id of its own.",
            )
        submit = read_order(journal, row.run)
        require_whole(row.run, submit, sum(head.last for head in journal.heads(row.run)))
        graph = stored_graph(journal, row)
    inject = {name: value for name, (state, value) in submit.inputs.items() if state == State.INJECTED}
    options = run_options(args, config, inject=inject, earlier=submit.opts.get("options") or {})
    with open_device(env, config, agents=options.agents, synchronous="full", emit=emit, hush=hush) as device:
        yield device, graph, options, row


def stored_graph(journal: Journal, row: RunRow) -> Graph:
    """The graph of a run. Raises JournalError if it is not in the journal."""
    stored = journal.graph(row.graph)
    if stored is None:
        raise JournalError(f"the graph of run {run_id_text(row.run)} is not in the journal")
    return Graph(decode(stored.body))  # ten times as fast as reading the source again, and the same


def read_order(journal: Journal, run: bytes) -> Submit:
    """What a run was begun with, in the log of the store that began it, with its values. Raises JournalError if it is not here."""
    for logged in journal.records(run):
        if isinstance(logged.record, Submit):
            return resolved_here(journal, logged.record)
    raise JournalError(f"no log of run {run_id_text(run)} begins with its order")
