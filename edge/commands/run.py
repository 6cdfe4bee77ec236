"""`graphferry run GRAPH`: run a graph from its beginning."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge.commands.inputs import add_input_options, given_inputs, require_inputs
from edge.commands.options import add_run_options, parse_sets, run_options
from edge.commands.running import carry_out
from edge.config import EdgeConfig, load_config
from edge.device import open_device
from edge.labelled_files import labels_of_file
from edge.means import Device, RunOptions
from edge.offers import last_offer
from edge.runs.runner import run_graph
from edge.showing.progress import open_progress
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, UsageError
from graphs.journal.schema import Synchronous
from graphs.language.graph_files import load_graph
from graphs.language.labels import own_labels
from graphs.language.spec import Graph

__all__ = ["add_arguments", "add_more_arguments", "main", "valid_agents"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="GRAPH", help="the graph's file, YAML or JSON")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NODE=VALUE", help="a static node's value; @FILE takes a file's text"
    )
    parser.add_argument("--place", action="append", default=[], metavar="NODE=PLACE", help="where a node runs: edge or cloud")
    parser.add_argument(
        "--strict", action="store_true", help="problems inside nested graphs and unknown @helpers are errors, not warnings"
    )
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
        from graphs.language.problems import as_data

        invalid = {"status": "invalid", "problems": as_data(error.problems)}
        env.stdout.write(json.dumps(invalid, ensure_ascii=False) + "\n")
        return ExitStatus.USAGE


def _run(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    document = load_graph(env.cwd / args.graph, file=args.graph)
    written = document.data.get("inputs") if isinstance(document.data, Mapping) else None
    declared = written if isinstance(written, Mapping) else {}
    inject = {**parse_sets(args.set, env), **given_inputs(args, declared)}
    options = run_options(args, config, inject=inject)
    synchronous: Synchronous = "full" if args.durability == "node" else "normal"
    with (
        open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
        open_device(
            env, config, agents=options.agents, synchronous=synchronous, emit=progress.emit, hush=progress.hush
        ) as device,
    ):
        graph = Graph.of(
            document.data,
            valid_agents(device, options.url),
            marks=document.marks,
            file=document.file,
            strict=options.strict,
            says=device.agents,
        )
        require_inputs(declared, inject)
        _require_labels(graph, args, config, env)
        options = _marked(options, args, config, device, env)
        return carry_out(
            run_graph(device, graph, options, name=Path(args.graph).name, source=None if document.loaded else document.text),
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


def valid_agents(device: Device, url: str | None) -> set[str]:
    """The names a graph may use: this device's agents, and those of the worker's last offer."""
    return {*device.agents, *(last_offer(device.journal, url) or {}).get("agents", {})}
