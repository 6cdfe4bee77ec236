"""`graphferry plan GRAPH`: where each node would run, why, and what that is expected to take; run nothing, ask nobody."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from edge.commands.given import Given, add_graph_arguments, as_impossible, as_invalid
from edge.commands.inputs import add_input_options
from edge.commands.options import add_placing_options, run_options
from edge.commands.piped import graph_name
from edge.config import load_config
from edge.device import open_device
from edge.means import Device
from edge.offers import check_offer, heard, keep_offer, last_offer
from edge.planning.keeping import Estimating
from edge.planning.knowledge import Knowledge
from edge.planning.plan import Plan, make_plan
from edge.privacy.rule import label_sources, label_ways
from edge.runs.places import by_clearance
from edge.runs.runner import Run
from edge.showing.plan_table import ago, plan_text
from graphs.engine.outcomes import Known
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, UsageError, WorkerUnreachable
from graphs.language.label_paths import told
from graphs.language.labels import label_graph
from graphs.paths import escape

__all__ = ["add_arguments", "add_more_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    add_graph_arguments(parser)
    parser.add_argument("--refresh", action="store_true", help="ask the worker what it offers now; otherwise no socket is opened")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with the source of every figure")
    add_placing_options(parser)
    parser.set_defaults(deadline=None, durability="group", max_turns=None, all=False)


def add_more_arguments(parser: ArgumentParser, words: Sequence[str], env: Environment) -> None:
    """The inputs that the graph declares are options, too."""
    add_input_options(parser, words, env)


def main(args: Namespace, env: Environment) -> int:
    try:
        return _plan(args, env)
    except GraphInvalid as error:
        if not args.json:
            raise
        _tell(as_invalid(error), env)
    except UsageError as error:
        if not args.json:
            raise
        _tell(as_impossible(error), env)
    return ExitStatus.USAGE


def _plan(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    given = Given.read(args, env)
    options = run_options(args, config, inject=given.inject)
    if args.refresh and (options.offline or options.local_only):
        raise UsageError("--refresh asks the worker, which --offline and --local-only forbid")
    if args.refresh and options.url is None:
        raise UsageError(
            "--refresh asks the worker, and none is named",
            hint="Name it with --cloud URL, or pair with one: graphferry pair URL CODE",
        )
    with open_device(env, config, agents=options.agents) as device:
        refused = asyncio.run(_refresh(device, options.url, options.token)) if options.url is not None and args.refresh else None
        run = Run(device, device.written_out(given.checked(device, options)), options, bytes(16), Known())
        unasked = refused or options.unasked()
        try:
            run.place(reached=unasked is None)
        except UsageError as error:
            if by_clearance(error) and unasked is None and not args.refresh:
                raise _by_old_word(error, time.time() - (heard(device.journal, options.url) or time.time())) from error
            raise
        made = device.estimator
        estimating = made if isinstance(made, Estimating) else Estimating(device)
        offer = {} if options.local_only or options.offline else run.offer  # then nobody asks how the network stands, either
        estimates = estimating(run.graph, offer, options.url, given.inject)
        if unasked is None:
            _require_offered(run, estimates.knowledge)
        why = unasked.message if unasked is not None else None
        facts = run.facts(run.offer)
        plan = make_plan(run.graph, run.placed, facts, estimates, why)
        labels = label_graph(run.graph, facts.agents, noted=facts.noted)
        ways = label_ways(run.graph, labels, facts.clearance)
        sources = {label: label_sources(run.graph, labels, label) for label in ways}
        _show(plan, estimates.knowledge, graph_name(args.graph), why, ways, sources, args, env)
    return ExitStatus.COMPLETED


async def _refresh(device: Device, url: str, token: str | None) -> WorkerUnreachable | None:
    """Ask the worker; why it cannot be."""
    assert device.connect is not None
    try:
        link = await device.connect(url, token, device.journal, ())
    except WorkerUnreachable as error:
        return error
    keep_offer(device.journal, url, link.offer)
    await link.close()
    await device.journal.barrier()
    return None


def _require_offered(run: Run, known: Knowledge) -> None:
    """Raises UsageError for a shipped node for which the worker has no means, as far as its last offer says."""
    offer = last_offer(run.device.journal, run.options.url)
    if offer is None:
        return
    try:
        check_offer(run.graph, run.placed, run.shipped(), offer)
    except UsageError as error:
        raise _by_old_word(error, known.offer_age) from error


def _by_old_word(error: UsageError, age: float | None) -> UsageError:
    """The refusal, with how old what the worker said is (seconds)."""
    old = f" This is by the worker's offer of {ago(age)} ago; --refresh asks it again." if age else ""
    return UsageError(error.message, hint=f"{error.hint or ''}{old}".strip())


def _show(
    plan: Plan,
    known: Knowledge,
    name: str,
    why: str | None,
    ways: Mapping[str, Sequence[str]],
    sources: Mapping[str, Sequence[str]],
    args: Namespace,
    env: Environment,
) -> None:
    if args.json:
        about = {
            "status": "planned",
            "graph": name,
            "unreached": why,
            "labels": {label: list(way) for label, way in ways.items()},
            "sources": {label: list(found) for label, found in sources.items()},
        }
        _tell({**about, **plan.as_json(), "facts": known.as_json()}, env)
        return
    encoding = getattr(env.stdout, "encoding", None) or "utf-8"
    env.stdout.write(plan_text(plan, known, width=shutil.get_terminal_size((110, 24)).columns, encoding=encoding))
    if ways:
        said = "; ".join(
            f"{label} keeps nodes on this device: {told(list(way))}{_also(way, sources[label])}" for label, way in ways.items()
        )
        env.stdout.write(f"labels: {said}\n".encode(encoding, "replace").decode(encoding))


def _also(way: Sequence[str], sources: Sequence[str]) -> str:
    """The sources of a label that are not on the way that is shown: whoever takes it off that one alone finds the nodes still here."""
    others = [each for each in sources if each not in way and not way[0].startswith(f"{escape(each)}/")]
    return f" (also from {', '.join(others)})" if others else ""


def _tell(told: Mapping[str, Any], env: Environment) -> None:
    env.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
