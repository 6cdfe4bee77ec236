"""`graphferry resume RUN`: go on with a run that was suspended, interrupted, failed or cut off."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from edge.commands.assuming import add_assume_option, parse_assumptions
from edge.commands.options import add_run_options, run_options
from edge.commands.running import carry_out
from edge.config import load_config
from edge.device import open_device
from edge.means import Device, RunOptions
from edge.runs.fork import require_whole
from edge.runs.resuming import resume_run
from edge.showing.progress import ProgressEvent, open_progress, unheard
from edge.syncing.held import require_held
from graphs.environment import Environment
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal, RunRow
from graphs.journal.ids import run_id_short, run_id_text
from graphs.language.spec import Graph
from graphs.language.uncollected import collected_seldom, uncollected
from graphs.records import State, Submit
from graphs.values import decode
from protocol.refill import resolved_here

__all__ = ["add_arguments", "main", "open_resumed", "read_order", "stored_graph"]

_NODE: Final = 100
"""Bytes that a small node takes in a graph's canonical form."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    add_assume_option(parser)
    add_run_options(parser)


def main(args: Namespace, env: Environment) -> int:
    assumed = parse_assumptions(args.assume, env)
    with (
        collected_seldom(),
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_resumed(args, env, emit=progress.heard, hush=progress.hush) as (device, graph, options, row),
    ):
        run = resume_run(device, graph, options, row.run, name=row.name, assumed=assumed)
        return carry_out(run, device, progress, args=args, env=env)


@contextmanager
def open_resumed(
    args: Namespace,
    env: Environment,
    emit: Callable[[ProgressEvent], None] = unheard,
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
    with uncollected(len(stored.body) // _NODE):
        return Graph(decode(stored.body))  # ten times as fast as reading the source again, and the same


def read_order(journal: Journal, run: bytes) -> Submit:
    """What a run was begun with, in the log of the store that began it, with its values. Raises JournalError if it is not here."""
    for logged in journal.records(run):
        if isinstance(logged.record, Submit):
            return resolved_here(journal, logged.record)
    raise JournalError(f"no log of run {run_id_text(run)} begins with its order")
