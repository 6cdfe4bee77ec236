"""`graphferry calibrate GRAPH`: how sure the first model of an `escalate` has to be, found from past runs."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.cascading.bars import LEAST, Bar, bars, for_quality, for_share
from edge.cascading.kept import drop_bar, keep_bar, kept_bar
from edge.cascading.traces import Compared, Traces
from edge.commands.piped import read_graph
from edge.config import load_config
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from graphs.language.cascade import ALWAYS, calibration_key
from graphs.language.spec import written_inside

if TYPE_CHECKING:
    from graphs.language.spec import Graph

__all__ = ["add_arguments", "main"]

_QUALITY = 0.95
_SHOWN = 8


class _Cascade(NamedTuple):
    """A node that escalates: its place in the document, the key of its bar, and the bar that is written there."""

    place: str
    key: str
    written: float | None


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="GRAPH", help="the graph's file, YAML or JSON; - reads standard input")
    parser.add_argument("--node", metavar="NODE", help="only this node; one inside another is OUTER/INNER")
    aim = parser.add_mutually_exclusive_group()
    aim.add_argument(
        "--quality",
        type=_share,
        metavar="Q",
        help=f"this share of all answers is to be what the second model would say ({_QUALITY})",
    )
    aim.add_argument("--share", type=_share, metavar="S", help="at most this share of the questions may go to the second model")
    aim.add_argument("--reset", action="store_true", help="forget the bar: both models are asked again, and compared")
    aim.add_argument("--show", action="store_true", help="show what past runs say and set nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _share(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{text!r} is not a share: write 0.95 or 95%")
    return number


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    document = read_graph(args.graph, env)
    graph = written_inside({"graph": document.data})
    known = list(_cascades(graph, ""))
    if not known:
        hint = "Write for instance escalate: {to: large} at a node that asks a model."
        raise UsageError(f"{args.graph} has no node that escalates", hint=hint)
    cascades = [each for each in known if args.node in (None, each.place)]
    if not cascades:
        hint = f"These do: {', '.join(each.place for each in known)}"
        raise UsageError(f"{args.graph} has no node {args.node!r} that escalates", hint=hint)
    with Journal.open(config.journal) as journal:
        traces = Traces(journal)
        told = [_calibrate(each, traces.compared(each.key), journal, args) for each in cascades]
        journal.flush()
    if args.json:
        env.stdout.write(json.dumps({"cascades": told}) + "\n")
    else:
        for each in told:
            env.stdout.write(_text(each, reset=args.reset))
    return ExitStatus.COMPLETED if all(each["set"] or not each["lacking"] for each in told) else ExitStatus.FAILED


def _cascades(graph: Graph | None, prefix: str) -> Iterator[_Cascade]:
    for name, spec in graph.nodes.items() if graph is not None else ():
        said = spec.get("escalate")
        if isinstance(said, Mapping):
            yield _Cascade(prefix + name, calibration_key(spec), said.get("below"))
        yield from _cascades(written_inside(spec), f"{prefix}{name}/")


def _calibrate(cascade: _Cascade, compared: Compared, journal: Journal, args: Namespace) -> dict[str, Any]:
    """Set the bar of one cascade, as the options ask; what there is to tell of it."""
    pairs, mute = compared
    before = kept_bar(journal, cascade.key)
    told: dict[str, Any] = {
        "node": cascade.place, "pairs": len(pairs), "mute": mute, "written": cascade.written, "before": before, "set": None, "lacking": 0,
        "choices": [each._asdict() for each in _thinned(bars(pairs))],
    }  # fmt: skip
    if args.reset:
        drop_bar(journal, cascade.key)
    elif not args.show and len(pairs) < LEAST:
        told["lacking"] = LEAST - len(pairs)
    elif not args.show:
        found = for_share(pairs, args.share) if args.share is not None else for_quality(pairs, args.quality or _QUALITY)
        assert found is not None  # one bar always asks, and one never does
        aim = {"share": args.share} if args.share is not None else {"quality": args.quality or _QUALITY}
        told["set"] = {**found._asdict(), "pairs": len(pairs), "aim": aim, "set": int(time.time() * 1000)}
        keep_bar(journal, cascade.key, told["set"])
    return told


def _thinned(found: list[Bar]) -> list[Bar]:
    """A few of many bars, the first and the last among them."""
    if len(found) <= _SHOWN:
        return found
    return [found[round(each * (len(found) - 1) / (_SHOWN - 1))] for each in range(_SHOWN)]


def _text(told: Mapping[str, Any], *, reset: bool) -> str:
    more = f"; of {told['mute']} more the first told no likelihoods" if told["mute"] else ""
    lines = [f"{told['node']}: {told['pairs']} questions that both models answered{more}"]
    lines += [
        f"  {_bar(each['below'])}: {each['share']:.0%} go to the second model, quality {each['quality']:.1%}"
        for each in told["choices"]
    ]
    if reset:
        was = f"it was {_bar(told['before']['below'])}" if told["before"] else "there was none"
        lines.append(f"  no bar any more ({was}): both models are asked again, and compared")
    elif told["set"]:
        bar = told["set"]
        lines.append(f"  set: {_bar(bar['below'])}, {bar['share']:.0%} go to the second model, quality {bar['quality']:.1%}")
    elif told["lacking"] and told["mute"] > told["pairs"]:
        lines.append(
            f"  not set: {told['lacking']} more are needed, and the first model does not say how sure it is. Ask one that tells "
            "likelihoods, such as any on this device, or measure by what it says several times: escalate: {by: agreement}, with a temperature."
        )
    elif told["lacking"]:
        lines.append(
            f"  not set: {told['lacking']} more are needed. Without a bar both models are asked each time and compared: run the graph on more inputs."
        )
    if told["written"] is not None:
        lines.append(
            f"  The graph says `below: {told['written']}` itself, which wins: leave that out for the calibrated bar to count."
        )
    return "\n".join(lines) + "\n"


def _bar(below: float) -> str:
    return "always" if below == ALWAYS else f"below {below:.3f}"
