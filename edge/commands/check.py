"""`graphferry check GRAPH`: report every problem of a graph, each with its line; run nothing."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, Problem
from graphs.graph_files import load_graph
from graphs.loadagents import known_agents
from graphs.spec import Graph

__all__ = ["add_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="GRAPH", help="the graph's file, YAML or JSON")
    parser.add_argument(
        "--agents", action="append", default=[], metavar="MODULE", help="a module with agents of your own; may be repeated"
    )
    parser.add_argument(
        "--strict", action="store_true", help="problems inside nested graphs and unknown @helpers are errors, not warnings"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def main(args: Namespace, env: Environment) -> int:
    from graphs.problems import as_data, render

    document = None
    try:
        document = load_graph(env.cwd / args.graph, file=args.graph)
        graph = Graph.of(
            document.data,
            set(known_agents(args.agents, folder=env.cwd)),
            marks=document.marks,
            file=document.file,
            strict=args.strict,
        )
        problems = graph.warnings
    except GraphInvalid as error:
        problems = error.problems
    bad = any(not problem.warning for problem in problems)
    if args.json:
        env.stdout.write(
            json.dumps({"status": "invalid" if bad else "valid", "problems": as_data(problems)}, ensure_ascii=False) + "\n"
        )
    elif problems:
        env.stderr.write(render(problems, document.text if document else None, color=env.colour))
    if not bad and not args.json:
        env.stdout.write(f"{args.graph}: {len(document.data['nodes']) if document else 0} nodes, {_count(problems)}\n")
    return ExitStatus.USAGE if bad else ExitStatus.COMPLETED


def _count(warnings: Sequence[Problem]) -> str:
    return "no problems" if not warnings else f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}"
