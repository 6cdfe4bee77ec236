"""`graphferry runs fork` and `runs replay`: a run of its own that begins with what another one has done."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.commands.assuming import add_assume_option, parse_assumptions
from edge.commands.options import add_run_options, parse_sets, run_options
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from graphs.journal.ids import run_id_text

if TYPE_CHECKING:
    from edge.config import EdgeConfig
    from edge.means import Device, RunOptions
    from edge.runs.assume import Assumption
    from edge.runs.fork import Forked
    from graphs.journal import RunRow
    from graphs.language.spec import Graph
    from graphs.records import Submit

__all__ = ["add_commands", "fork", "kept_of", "make_fork", "replay"]


def add_commands(commands: Any) -> None:
    """Adds the two to the commands of `graphferry runs`."""
    plain: ArgumentParser = commands.add_parser("fork", help="a run of its own with all results of another one, to go on with")
    plain.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    again: ArgumentParser = commands.add_parser(
        "replay", help="fork a run and do some of it again: what does not depend on that is kept"
    )
    again.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    again.add_argument(
        "--from", action="append", default=[], metavar="NODE", dest="again", help="run this node again, and what depends on it"
    )
    again.add_argument("--set", action="append", default=[], metavar="NODE=VALUE", help="another value for a node, or @FILE")
    add_assume_option(again)
    add_run_options(again)


def fork(args: Namespace, config: EdgeConfig, env: Environment) -> int:
    """`runs fork`."""
    with Journal.open(config.journal) as journal:
        source = journal.run(args.run).run
    forked = make_fork(args.run, config, env)
    text = run_id_text(forked.run)
    env.stdout.write(f"run {text} is a fork of {run_id_text(source)}: {kept_of(forked)}\n")
    env.stderr.write(f"Go on with it:\n  graphferry resume {text}\n")
    return ExitStatus.COMPLETED


def make_fork(name: str, config: EdgeConfig, env: Environment, *, forced: bool = False) -> Forked:
    """A fork of the run with this id, or whose id begins so, that keeps everything; `forced`: marked for sync, of a run whose holder is silent."""
    import asyncio

    from edge.commands.resume import stored_graph
    from edge.device import open_device
    from edge.runs.fork import fork_run

    with Journal.open(config.journal) as journal:
        row, submit = _source(journal, name)
        graph = stored_graph(journal, row)
    options = replace(_options_of(submit), sync=forced)
    with open_device(env, config, agents=options.agents) as device:
        return asyncio.run(fork_run(device, graph, options, row.run, held_elsewhere=forced))


def replay(args: Namespace, config: EdgeConfig, env: Environment) -> int:
    """`runs replay`. Exit statuses as those of `run`."""
    from edge.commands.resume import stored_graph
    from edge.commands.running import carry_out
    from edge.device import open_device
    from edge.runs.resuming import resume_run
    from edge.showing.progress import open_progress

    if not (args.again or args.set):
        raise UsageError(
            "runs replay: what is to be done again?", hint="Say --from NODE or --set NODE=VALUE; `runs fork` keeps everything."
        )
    changes = parse_sets(args.set, env)
    assumed = parse_assumptions(args.assume, env)
    with Journal.open(config.journal) as journal:
        row, submit = _source(journal, args.run)
        graph = stored_graph(journal, row)
    inject = {name: entry[1] for name, entry in submit.inputs.items()} | changes
    options = run_options(args, config, inject=inject, earlier=submit.opts.get("options") or {})
    with (
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_device(env, config, agents=options.agents, synchronous="full", emit=progress.heard, hush=progress.hush) as device,
    ):

        async def go() -> Any:
            forked = await _forked(device, graph, options, row, args.again, changes, assumed)
            env.stderr.write(f"run {run_id_text(forked.run)} is a fork of {run_id_text(row.run)}: {kept_of(forked)}\n")
            left = [each for each in assumed if each.path in forked.asked]
            return await resume_run(device, graph, options, forked.run, name=row.name, assumed=left)

        return carry_out(go(), device, progress, args=args, env=env)


async def _forked(
    device: Device,
    graph: Graph,
    options: RunOptions,
    row: RunRow,
    again: list[str],
    changes: dict[str, Any],
    assumed: list[Assumption],
) -> Forked:
    from edge.runs.fork import fork_run
    from graphs.values import MISSING

    keep = [each.path for each in assumed if each.what == "done" and each.value is MISSING]
    forked = await fork_run(device, graph, options, row.run, again=again, changes=changes, keep=keep)
    superfluous = [each.path for each in assumed if each.path not in forked.asked and each.path not in keep]
    if superfluous:
        device.journal.remove_run(forked.run)
        raise UsageError(
            f"--assume {superfluous[0]}: that node keeps what it gave, or has none of the effects that must not be repeated"
        )
    return forked


def _source(journal: Journal, name: str) -> tuple[RunRow, Submit]:
    from edge.commands.resume import read_order

    row = journal.run(name)
    if row.role != "root":
        raise UsageError(f"{name} is the part of a run that a worker ran; fork the run itself")
    return row, read_order(journal, row.run)


def _options_of(submit: Submit) -> RunOptions:
    """The options that a run was begun with."""
    from edge.means import RunOptions

    return RunOptions.from_record(submit.opts.get("options") or {})


def kept_of(forked: Forked) -> str:
    """What there is to say of a fork, for a person."""
    results = f"{forked.kept} result{'' if forked.kept == 1 else 's'} kept"
    if not forked.asked:
        return results
    return f"{results}; will not run again without a word: {', '.join(forked.asked)}"
