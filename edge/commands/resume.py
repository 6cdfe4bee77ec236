"""`graphferry resume RUN`: go on with a run that was suspended, interrupted, failed or cut off."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.commands.options import add_run_options, run_options
from edge.commands.running import carry_out
from edge.config import load_config
from edge.device import open_device
from edge.held import require_held
from edge.means import Device, RunOptions
from edge.progress import ProgressEvent, open_progress
from edge.runner import resume_run
from graphs.environment import Environment
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal
from graphs.journal.ids import run_id_text
from graphs.journal.reader import RunRow
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import State, Submit
from graphs.values import decode

__all__ = ["add_arguments", "main", "open_resumed"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    add_run_options(parser)


def main(args: Namespace, env: Environment) -> int:
    with (
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_resumed(args, env, emit=progress.emit) as (device, graph, options, row),
    ):
        return carry_out(resume_run(device, graph, options, row.run, name=row.name), device, progress, args=args, env=env)


@contextmanager
def open_resumed(
    args: Namespace, env: Environment, emit: Callable[[ProgressEvent], None] = lambda _event: None
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
        require_held(journal, row.run)
        submit = _submit(journal, row.run)
        stored = journal.graph(row.graph)
    if stored is None:
        raise JournalError(f"the graph of run {run_id_text(row.run)} is not in the journal")
    inject = {name: value for name, (state, value) in submit.inputs.items() if state == State.INJECTED}
    options = run_options(args, config, inject=inject, earlier=submit.opts.get("options") or {})
    with open_device(env, config, agents=options.agents, synchronous="full", emit=emit) as device:
        document = load_text(stored.source, file=stored.file) if stored.source else None
        data = document.data if document is not None else decode(stored.body)
        yield device, Graph(data), options, row


def _submit(journal: Journal, run: bytes) -> Submit:
    for logged in journal.records(run):
        if isinstance(logged.record, Submit):
            return logged.record
    raise JournalError(f"the log of run {run_id_text(run)} does not begin with its order")
