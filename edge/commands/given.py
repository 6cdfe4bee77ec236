"""The graph that a command is given, `run` and `plan` alike: its arguments, what it says with the values it has, and its check here."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.commands.inputs import given_inputs
from edge.commands.options import parse_sets
from edge.commands.piped import STREAM, lines_shown, read_graph
from edge.means import Device, RunOptions
from edge.offers import last_offer
from edge.placement import NoPlace
from graphs.engine.made import NotAllowed
from graphs.environment import Environment
from graphs.errors import GraphInvalid, UsageError
from graphs.language.load import Document
from graphs.language.spec import Graph
from graphs.values import Value

__all__ = ["Given", "add_graph_arguments", "as_impossible", "as_invalid", "is_impossible"]


class Given(NamedTuple):
    """A graph that was read and not checked yet."""

    document: Document
    declared: Mapping[str, Any]
    """The inputs that it declares."""
    inject: dict[str, Value]
    """The values of inputs and static nodes that the command line gives."""

    @classmethod
    def read(cls, args: Namespace, env: Environment) -> Given:
        """Raises GraphInvalid if it cannot be read, UsageError for a value that cannot be."""
        if (args.graph == STREAM) + sum(each.endswith(f"=@{STREAM}") for each in args.set) > 1:
            raise UsageError("standard input can be read only once: for the graph, or for one value")
        document = read_graph(args.graph, env, args)
        written = document.data.get("inputs") if isinstance(document.data, Mapping) else None
        declared = written if isinstance(written, Mapping) else {}
        return cls(document, declared, {**parse_sets(args.set, env), **given_inputs(args, declared)})

    def checked(self, device: Device, options: RunOptions) -> Graph:
        """The graph, checked by the agents of this device and those that the worker had last. Raises GraphInvalid."""
        known = {*device.agents, *(last_offer(device.journal, options.url) or {}).get("agents", {})}
        document = self.document
        with lines_shown(document):
            return Graph.of(
                document.data, known, marks=document.marks, file=document.file, strict=options.strict, says=device.agents
            )


def add_graph_arguments(parser: ArgumentParser) -> None:
    """The graph, values for it, places for its nodes, and how strictly it is checked."""
    parser.add_argument("graph", metavar="GRAPH", help="the graph's file, YAML or JSON; - reads standard input")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE=VALUE",
        help="a static node's value; @FILE takes a file's text, @- standard input",
    )
    parser.add_argument(
        "--place", action="append", default=[], metavar="NODE=PLACE", help="where a node runs: edge or cloud; may be repeated"
    )
    parser.add_argument(
        "--strict", action="store_true", help="problems inside nested graphs and unknown @helpers are errors, not warnings"
    )


def as_invalid(error: GraphInvalid) -> dict[str, Any]:
    """What `--json` prints of a graph that cannot run."""
    from graphs.language.problems import as_data

    return {"status": "invalid", "problems": as_data(error.problems)}


def as_impossible(error: UsageError) -> dict[str, Any]:
    """What `--json` prints where a node can be nowhere, or may not be at all: which, why, and what would resolve it."""
    return {"status": "impossible", "node": _node_of(error), "message": error.message, "hint": error.hint}


def _node_of(error: UsageError) -> str | None:
    """The node that it is about, if it is about one."""
    each: BaseException | None = error
    while each is not None and not isinstance(each, (NoPlace, NotAllowed)):
        each = each.__cause__
    return each.node if each is not None else None


def is_impossible(error: UsageError) -> bool:
    """Whether it is about a node that cannot be placed, and not about how the command was typed."""
    return _node_of(error) is not None
