"""`graphferry run GRAPH`: run a graph from its beginning."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace

from edge.commands.given import Given, add_graph_arguments, as_impossible, as_invalid, is_impossible
from edge.commands.inputs import add_input_options, require_inputs, require_start
from edge.commands.options import add_run_options, run_options
from edge.commands.piped import graph_name
from edge.commands.running import carry_out
from edge.config import EdgeConfig, load_config
from edge.device import open_device
from edge.means import Device, RunOptions
from edge.privacy.files import labels_of_file
from edge.runs.runner import run_graph
from edge.showing.progress import open_progress
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, UsageError
from graphs.journal.schema import Synchronous
from graphs.language.labels import own_labels
from graphs.language.spec import Graph
from graphs.language.uncollected import collected_seldom

__all__ = ["add_arguments", "add_more_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    add_graph_arguments(parser)
    parser.add_argument("--sync", action="store_true", help="mark the run for sync: it goes to the worker and your other devices")
    add_run_options(parser)


def add_more_arguments(parser: ArgumentParser, words: Sequence[str], env: Environment) -> None:
    """The inputs that the graph declares are options, too."""
    add_input_options(parser, words, env)


def main(args: Namespace, env: Environment) -> int:
    try:
        return _run(args, env)
    except GraphInvalid as error:
        if not args.json:
            raise
        env.stdout.write(json.dumps(as_invalid(error), ensure_ascii=False) + "\n")
    except UsageError as error:
        if args.json and is_impossible(error):
            env.stdout.write(json.dumps(as_impossible(error), ensure_ascii=False) + "\n")
        raise
    return ExitStatus.USAGE


def _run(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    given = Given.read(args, env)
    options = run_options(args, config, inject=given.inject)
    synchronous: Synchronous = "full" if args.durability == "node" else "normal"
    with (
        collected_seldom(),
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_device(
            env, config, agents=options.agents, synchronous=synchronous, emit=progress.heard, hush=progress.hush
        ) as device,
    ):
        graph = given.checked(device, options)
        require_inputs(given.declared, given.inject)
        require_start(graph, given.inject, options.max_turns)
        _require_labels(graph, args, config, env)
        options = _marked(options, args, config, device, env)
        return carry_out(
            run_graph(
                device, graph, options, name=graph_name(args.graph), source=None if given.document.loaded else given.document.text
            ),
            device,
            progress,
            args=args,
            env=env,
        )


def _require_labels(graph: Graph, args: Namespace, config: EdgeConfig, env: Environment) -> None:
    """Raises UsageError for a file with labels that is given to a node without them: its text would lose them."""
    for name, text in (each.partition("=")[::2] for each in args.set):
        spec = graph.nodes.get(name)
        if not text.startswith("@") or spec is None:
            continue
        if missing := sorted(labels_of_file(config.files, env.cwd / text[1:]) - own_labels(spec)):
            raise UsageError(
                f"{text[1:]} has the label {', '.join(missing)} (`files` in the configuration), and node {name!r} has not",
                hint=f"Say so in the graph: {name}: {{sensitivity: [{', '.join(missing)}]}}",
            )


def _marked(options: RunOptions, args: Namespace, config: EdgeConfig, device: Device, env: Environment) -> RunOptions:
    """The options; with the warning, and without the mark for sync if nobody asked for it by name, where too much waits to go out already."""
    from edge.syncing.spool import over_the_bound, spooled, total

    if not options.sync or (warning := over_the_bound(total(spooled(device.journal)), config.link)) is None:
        return options
    env.stderr.write(f"warning: {warning}\n")
    if args.sync:
        return options
    env.stderr.write("This run is not marked for sync; `graphferry runs mark RUN` does that later.\n")
    return replace(options, sync=False)
