"""`graphferry graph GRAPH`: draw a graph; run nothing."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge.commands.piped import STREAM, graph_name, lines_shown, read_graph
from graphs.drawing.draw import FORMATS, SUFFIXES, Format, Whereabouts, draw
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, UsageError
from graphs.language.check import check
from graphs.language.spec import Graph

__all__ = ["add_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="GRAPH", help="the graph's file, YAML or JSON; - reads standard input")
    parser.add_argument("-o", "--output", metavar="FILE", help=f"write there; {', '.join(SUFFIXES)} say the format")
    parser.add_argument("--format", choices=FORMATS, help="text (default), mermaid, dot (for Graphviz) or svg")
    parser.add_argument("--places", action="store_true", help="say where each node would run: by this device and the last offer")
    parser.add_argument("--fold", action="store_true", help="leave out what is inside nested graphs")
    parser.add_argument(
        "--agents", action="append", default=[], metavar="MODULE", help="a module with agents of your own; may be repeated"
    )


def main(args: Namespace, env: Environment) -> int:
    kind = _format(args)
    graph = _load(args.graph, env)
    places = _places(graph, args, env) if args.places else None
    encoding = (getattr(env.stdout, "encoding", None) or "utf-8").lower()
    to_terminal = args.output in (None, STREAM) and env.stdout.isatty()
    drawn = draw(
        graph,
        kind,
        title=graph_name(args.graph),
        places=places,
        fold=args.fold,
        width=shutil.get_terminal_size((100, 24)).columns if to_terminal else 100,
        colour=to_terminal and not env.environ.get("NO_COLOR") and env.environ.get("TERM") != "dumb",
        ascii=args.output in (None, STREAM) and not encoding.startswith("utf"),
    )
    if args.output in (None, STREAM):
        env.stdout.write(drawn)
    else:
        (env.cwd / args.output).write_text(drawn, encoding="utf-8")
    return ExitStatus.COMPLETED


def _format(args: Namespace) -> Format:
    named: Format | None = args.format
    if named is not None or args.output in (None, STREAM):
        return named or "text"
    suffix = Path(args.output).suffix
    if suffix not in SUFFIXES:
        raise UsageError(
            f"-o {args.output}: the name does not say which format", hint=f"End it in {', '.join(SUFFIXES)}, or say --format."
        )
    return SUFFIXES[suffix]


def _load(name: str, env: Environment) -> Graph:
    """The graph in a file. A picture needs nobody's agents: any name of one will do."""
    document = read_graph(name, env)
    problems = check(document.data, None, marks=document.marks, file=document.file)
    if any(not problem.warning for problem in problems):
        with lines_shown(document):
            raise GraphInvalid(problems, file=document.file)
    return Graph(document.data)


def _places(graph: Graph, args: Namespace, env: Environment) -> Whereabouts:
    """Where this device would run each node, as far as is known without asking anybody."""
    from edge.config import load_config
    from edge.device import open_device
    from edge.means import RunOptions
    from edge.runs.runner import Run
    from graphs.engine.outcomes import Known

    config = load_config(env)
    with open_device(env, config, agents=tuple(args.agents)) as device:
        run = Run(device, graph, RunOptions(url=config.url, wishes=config.wishes), bytes(16), Known())
        run.place(reached=config.url is not None and not config.offline)
        return {name: (placement.place, placement.reason) for name, placement in run.placed.items()}
