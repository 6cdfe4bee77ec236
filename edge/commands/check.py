"""`graphferry check GRAPH...`: report every problem of graphs, each with its line; run nothing."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace

from edge.commands.piped import STREAM, graph_name, read_graph
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, Problem
from graphs.language.graph_files import text_of
from graphs.language.marks import Marks
from graphs.language.spec import Graph, is_computed
from graphs.loadagents import known_agents
from graphs.registry import Registry

__all__ = ["add_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "graph", metavar="GRAPH", nargs="+", help="a graph's file, YAML or JSON; - reads standard input; may be several"
    )
    parser.add_argument(
        "--agents", action="append", default=[], metavar="MODULE", help="a module with agents of your own; may be repeated"
    )
    parser.add_argument(
        "--strict", action="store_true", help="problems inside nested graphs and unknown @helpers are errors, not warnings"
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="says with `sensitivity` which labels may go where, not edge/config.yaml"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def main(args: Namespace, env: Environment) -> int:
    from graphs.language.problems import as_data, render

    agents = known_agents(args.agents, folder=env.cwd)
    found: list[Problem] = []
    bad = False
    for name in args.graph:
        problems, text, nodes = _checked(name, agents, env, strict=args.strict, policy=args.policy)
        wrong = any(not problem.warning for problem in problems)
        bad = bad or wrong
        found += problems
        if args.json:
            continue
        if problems:
            env.stderr.write(render(problems, text, color=env.colour) + "\n")
        if not wrong:
            env.stdout.write(f"{graph_name(name) if name == STREAM else name}: {nodes}, {_count(problems)}\n")
    if args.json:
        told = {"status": "invalid" if bad else "valid", "problems": as_data(found)}
        env.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return ExitStatus.USAGE if bad else ExitStatus.COMPLETED


def _checked(
    name: str, agents: Registry, env: Environment, *, strict: bool, policy: str | None
) -> tuple[Sequence[Problem], str | None, str]:
    """A file's problems, the text that their lines are in where it can be read, and in words how many nodes a graph without any has."""
    try:
        document = read_graph(name, env)
    except GraphInvalid as error:
        return error.problems, error.text or text_of(name, env.cwd), ""
    try:
        graph = Graph.of(document.data, agents.keys(), marks=document.marks, file=document.file, strict=strict, says=agents)
    except GraphInvalid as error:
        return error.problems, document.text, ""
    labelled = _by_labels(graph, agents, env, policy, document.marks, document.file)
    return [*graph.warnings, *labelled], document.text, _nodes(graph)


def _by_labels(
    graph: Graph, agents: Registry, env: Environment, policy: str | None, marks: Marks | None, file: str | None
) -> Sequence[Problem]:
    """The nodes that would be where their labels must not be, by this device's configuration, or what `policy` says instead."""
    from edge.config import load_config
    from edge.pairings import Pairings
    from edge.placing.facts import Facts
    from edge.privacy.check import has_labels, label_problems
    from edge.privacy.files import with_labelled_files
    from edge.privacy.settings import read_clearance
    from graphs.settings import read_settings

    config = load_config(env)
    facts = Facts(agents=with_labelled_files(agents, config.files, env.cwd), models=())
    clearance = config.clearance
    if policy is not None:
        path = env.cwd / policy
        clearance = read_clearance(read_settings(path), config.url, config.servers, path, Pairings(config.home).names())
    if not has_labels(graph, facts):
        return ()
    from edge.device import device_models

    models, tiers = device_models(env, config, config.models)
    servers = frozenset(each for each, server in config.servers.items() if not server.on_device)
    known = replace(facts, models=models.names(), tiers=tiers, default_model=tiers.get("small", "small"), servers=servers)
    return label_problems(graph, replace(known, clearance=clearance), marks, file)


def _count(warnings: Sequence[Problem]) -> str:
    return "no problems" if not warnings else _several(len(warnings), "warning")


def _nodes(graph: Graph) -> str:
    """A run counts those that are computed, and no others."""
    computed, all_of_them = sum(map(is_computed, graph.nodes.values())), len(graph.nodes)
    return _several(all_of_them, "node") + (f" ({computed} computed)" if computed < all_of_them else "")


def _several(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
