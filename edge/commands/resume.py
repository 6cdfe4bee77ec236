"""`graphferry resume RUN`: go on with a run that was suspended, interrupted, failed or cut off."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from edge.commands.options import add_run_options, run_options
from edge.commands.running import carry_out
from edge.config import load_config
from edge.device import open_device
from edge.progress import open_progress
from edge.runner import resume_run
from graphs.environment import Environment
from graphs.errors import JournalError, UsageError
from graphs.journal import Journal
from graphs.journal.ids import run_id_text
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.records import State, Submit
from graphs.values import decode

__all__ = ["add_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    add_run_options(parser)


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    if not config.journal.is_file():
        raise UsageError(f"there is no journal at {config.journal}, so there is nothing to resume")
    with Journal.open(config.journal) as journal:
        row = journal.run(args.run)
        submit = _submit(journal, row.run)
        stored = journal.graph(row.graph)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; resume the run itself")
    if row.status in ("completed", "cancelled"):
        raise UsageError(
            f"run {run_id_text(row.run)} is {row.status}", hint=f"Look at it: graphferry runs show {run_id_text(row.run)}"
        )
    if stored is None:
        raise JournalError(f"the graph of run {run_id_text(row.run)} is not in the journal")
    inject = {name: value for name, (state, value) in submit.inputs.items() if state == State.INJECTED}
    options = run_options(args, config, inject=inject, earlier=submit.opts.get("options") or {})
    with (
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_device(env, config, agents=options.agents, synchronous="full", emit=progress.emit, hush=progress.hush) as device,
        device.hold(row.run),
    ):
        document = load_text(stored.source, file=stored.file) if stored.source else None
        data = document.data if document is not None else decode(stored.body)
        graph = Graph(data)
        return carry_out(resume_run(device, graph, options, row.run, name=row.name), device, progress, args=args, env=env)


def _submit(journal: Journal, run: bytes) -> Submit:
    first = next(iter(journal.records(run)), None)
    if first is None or not isinstance(first.record, Submit):
        raise JournalError(f"the log of run {run_id_text(run)} does not begin with its order")
    return first.record
