"""Options that several commands share."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping
from typing import Any

from edge.config import EdgeConfig
from edge.means import RunOptions
from edge.pairings import link_url
from edge.placing.facts import OFFLINE, Offline, Place, Sayings
from edge.placing.wishes import MINIMISED, Wishes
from edge.showing.progress import MODES
from graphs.environment import Environment
from graphs.errors import UsageError, why_failed
from graphs.language.check_budget import BUDGETS
from graphs.values import Value

__all__ = ["add_placing_options", "add_run_options", "duration", "no_json", "parse_sets", "positive", "read_value", "run_options"]


def add_run_options(parser: ArgumentParser) -> None:
    """Where and how a run goes, and how it is shown: for `run` and `resume`."""
    add_placing_options(parser)
    parser.add_argument(
        "--durability",
        choices=("group", "node"),
        default="group",
        help="group: many results a commit (default); node: each before what depends on it",
    )
    parser.add_argument("--max-turns", type=positive, metavar="N", help="a loop that goes on after N turns fails")
    parser.add_argument("--all", action="store_true", help="give the values of all nodes, not only of results")
    parser.add_argument("--json", action="store_true", help="print one JSON object about the run")
    parser.add_argument("--progress", choices=MODES, default="auto", help="how the run is shown on stderr")


def add_placing_options(parser: ArgumentParser) -> None:
    """What decides where nodes run and what they may have: for `plan`, too."""
    parser.add_argument("--cloud", metavar="URL", help="the worker's link URL, wss://HOST:PORT/v1/link")
    parser.add_argument("--offline", action="store_true", help="ask no worker: nodes that need one wait")
    parser.add_argument(
        "--when-offline",
        action="append",
        default=[],
        metavar="[NODE=]POLICY",
        help="what nodes do whose worker is not reached: wait (default), local or fail; may be repeated",
    )
    parser.add_argument("--local-only", action="store_true", help="open no socket at all; refuse graphs that need one")
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="KIND=N",
        help="ask before the run spends more: tokens, usd, seconds or bytes; may be repeated",
    )
    parser.add_argument("--deadline", metavar="DURATION", help="suspend the run after this long, for instance 60s or 5m")
    parser.add_argument(
        "--minimise",
        "--policy",
        dest="minimise",
        choices=MINIMISED,
        help="what nodes that could be anywhere are placed for: latency (default), cost or energy",
    )
    parser.add_argument(
        "--untrusted", action="store_true", help="the graph is a stranger's: it gets tight limits, no files and no network"
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="a limit of the run, made.NAME=N of graphs made in it (docs/safety.md); may be repeated",
    )
    parser.add_argument(
        "--grant",
        action="append",
        default=[],
        metavar="WHAT",
        help="files, network or declassify, for graphs that are not trusted",
    )
    parser.add_argument(
        "--agents", action="append", default=[], metavar="MODULE", help="a module with agents of your own; may be repeated"
    )


def run_options(
    args: Namespace,
    config: EdgeConfig,
    *,
    inject: Mapping[str, Value] = {},
    earlier: Mapping[str, Any] = {},
    token: str | None = None,
) -> RunOptions:
    """The options of one run: the command line over the configuration, and for `resume` over what the run began with."""
    wishes = earlier.get("wishes") or {}
    deadline = duration(args.deadline) if args.deadline else None
    if args.cloud:
        link_url(args.cloud)  # what is none is told also where nothing needs it
    return RunOptions(
        inject=inject,
        url=args.cloud or config.url,
        token=token or config.token,
        offline=args.offline or config.offline,
        local_only=args.local_only,
        pinned=_pins(getattr(args, "place", ())) or earlier.get("pinned") or {},
        budget={**(earlier.get("budget") or {}), **_budget(getattr(args, "budget", ()))},
        deadline=deadline,
        each_durable=args.durability == "node",
        strict=getattr(args, "strict", False) or bool(earlier.get("strict")),
        max_turns=args.max_turns or earlier.get("max_turns"),
        sync=getattr(args, "sync", False) or config.sync,
        all=args.all or bool(earlier.get("all")),
        config=earlier.get("config") or {},
        agents=tuple(args.agents) or tuple(earlier.get("agents") or ()),
        untrusted=args.untrusted or bool(earlier.get("untrusted")),
        limits=(*(earlier.get("limits") or ()), *args.limit),
        grants=tuple(word for each in args.grant for word in each.split(",")) or tuple(earlier.get("grants") or ()),
        when_offline=_sayings(args.when_offline, earlier.get("when_offline") or {}, config.when_offline),
        wishes=Wishes(
            getattr(args, "minimise", None) or wishes.get("minimise") or config.wishes.minimise, deadline, config.wishes.budget
        ),
        decided=earlier.get("decided") or {},
    )


def parse_sets(sets: Iterable[str], env: Environment) -> dict[str, Value]:
    """`NODE=VALUE` pairs: a value that is JSON counts as that, other text as itself, `@FILE` as the file's text."""
    values: dict[str, Value] = {}
    for each in sets:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {each}: expected NODE=VALUE or NODE=@FILE")
        values[name] = read_value(text, env)
    return values


def read_value(text: str, env: Environment) -> Value:
    """What is JSON counts as that, other text as itself, `@FILE` as the file's text, `@-` as that of standard input.

    Raises UsageError for a file that cannot be read.
    """
    return _read(text[1:], env) if text.startswith("@") else _parse(text)


def positive(text: str) -> int:
    """The number of an option that counts something. As a `type` of argparse; raises its error for what is no whole number above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text} is not a number above 0")
    return number


def duration(text: str) -> float:
    """Seconds of `60s`, `5m`, `2h`, `30d`, `500ms` or a bare number. Raises UsageError."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "": 1.0}
    number = text.rstrip("dhms")
    try:
        seconds = float(number) * units[text[len(number) :]]
    except (ValueError, KeyError):
        raise UsageError(f"{text!r} is not a duration: write 60s, 5m, 2h, 30d or 500ms") from None
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{text!r} is not a duration: it must be greater than 0 and come to an end")
    return seconds


def _budget(pairs: Iterable[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in pairs:
        kind, _, text = each.partition("=")
        try:
            number = float(text.replace("_", ""))
        except ValueError:
            number = 0.0
        if kind not in BUDGETS or not 0 < number < float("inf"):
            raise UsageError(
                f"--budget {each}: expected one of {', '.join(BUDGETS)} and a number, for instance --budget tokens=5000"
            )
        found[kind] = number
    return found


def _pins(pairs: Iterable[str]) -> dict[str, Place]:
    pins: dict[str, Place] = {}
    for each in pairs:
        name, _, place = each.partition("=")
        if place == "edge":
            pins[name] = "edge"
        elif place == "cloud":
            pins[name] = "cloud"
        else:
            raise UsageError(f"--place {each}: expected NODE=edge or NODE=cloud")
    return pins


def _sayings(words: Iterable[str], earlier: Mapping[str, Any], device: Offline | None) -> Sayings:
    nodes: dict[str, Offline] = dict(earlier.get("nodes") or {})
    every: Offline | None = earlier.get("every")
    for each in words:
        name, equals, policy = each.rpartition("=")
        if policy not in OFFLINE or (equals and not name):
            raise UsageError(
                f"--when-offline {each}: expected wait, local or fail, of one node NODE=wait, NODE=local or NODE=fail"
            )
        if equals:
            nodes[name] = policy
        else:
            every = policy
    return Sayings(nodes, every, device, earlier.get("always"))


def _parse(text: str) -> Value:
    try:
        return json.loads(text, parse_constant=no_json)
    except ValueError:
        return text


def no_json(word: str) -> Value:
    """For `parse_constant` of `json`, which reads NaN and Infinity although JSON does not have them. Raises ValueError."""
    raise ValueError(f"{word} is no JSON")


def _read(name: str, env: Environment) -> str:
    try:
        if name == "-":
            return env.stdin.read()
        return (env.cwd / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {name}: {why_failed(error)}") from error
