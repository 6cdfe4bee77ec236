"""`graphferry plan GRAPH`: where each node would run, why, and what that is expected to take; run nothing, ask nobody."""

from __future__ import annotations

import asyncio
import json
import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.commands.inputs import add_input_options, given_inputs
from edge.commands.options import add_placing_options, parse_sets, run_options
from edge.commands.run import valid_agents
from edge.config import load_config
from edge.device import open_device
from edge.means import Device
from edge.offers import check_offer, keep_offer, last_offer
from edge.placement import NoPlace
from edge.planning.keeping import Estimating
from edge.planning.knowledge import Knowledge
from edge.planning.plan import Plan, make_plan
from edge.runs.runner import Run
from edge.showing.plan_table import ago, plan_text
from graphs.engine.outcomes import Known
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphInvalid, UsageError, WorkerUnreachable
from graphs.language.graph_files import load_graph
from graphs.language.spec import Graph

__all__ = ["add_arguments", "add_more_arguments", "main"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="GRAPH", help="the graph's file, YAML or JSON")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NODE=VALUE", help="a static node's value; @FILE takes a file's text"
    )
    parser.add_argument("--place", action="append", default=[], metavar="NODE=PLACE", help="where a node runs: edge or cloud")
    parser.add_argument(
        "--strict", action="store_true", help="problems inside nested graphs and unknown @helpers are errors, not warnings"
    )
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
        from graphs.language.problems import as_data

        _tell({"status": "invalid", "problems": as_data(error.problems)}, env)
    except UsageError as error:
        if not args.json:
            raise
        node = error.__cause__.node if isinstance(error.__cause__, NoPlace) else None
        _tell({"status": "impossible", "node": node, "message": error.message, "hint": error.hint}, env)
    return ExitStatus.USAGE


def _plan(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    document = load_graph(env.cwd / args.graph, file=args.graph)
    written = document.data.get("inputs") if isinstance(document.data, Mapping) else None
    inject = {**parse_sets(args.set, env), **given_inputs(args, written if isinstance(written, Mapping) else {})}
    options = run_options(args, config, inject=inject)
    if args.refresh and (options.offline or options.local_only):
        raise UsageError("--refresh asks the worker, which --offline and --local-only forbid")
    with open_device(env, config, agents=options.agents) as device:
        refused = asyncio.run(_refresh(device, options.url, options.token)) if args.refresh else None
        graph = Graph.of(
            document.data, valid_agents(device, options.url), marks=document.marks, file=document.file, strict=options.strict
        )
        run = Run(device, device.written_out(graph), options, bytes(16), Known())
        unasked = refused or options.unasked()
        run.place(reached=unasked is None)
        made = device.estimator
        estimating = made if isinstance(made, Estimating) else Estimating(device)
        offer = {} if options.local_only or options.offline else run.offer  # then nobody asks how the network stands, either
        estimates = estimating(run.graph, offer, options.url, inject)
        if unasked is None:
            _require_offered(run, estimates.knowledge)
        why = unasked.message if unasked is not None else None
        plan = make_plan(run.graph, run.placed, run.facts(run.offer), estimates, why)
        _show(plan, estimates.knowledge, Path(args.graph).name, why, args, env)
    return ExitStatus.COMPLETED


async def _refresh(device: Device, url: str | None, token: str | None) -> WorkerUnreachable | None:
    """Ask the worker; why it cannot be."""
    if url is None:
        return None
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
        old = f" This is by the worker's offer of {ago(known.offer_age)} ago; --refresh asks it again." if known.offer_age else ""
        raise UsageError(error.message, hint=f"{error.hint or ''}{old}".strip()) from error


def _show(plan: Plan, known: Knowledge, name: str, why: str | None, args: Namespace, env: Environment) -> None:
    if args.json:
        _tell({"status": "planned", "graph": name, "unreached": why, **plan.as_json(), "facts": known.as_json()}, env)
        return
    encoding = getattr(env.stdout, "encoding", None) or "utf-8"
    env.stdout.write(plan_text(plan, known, width=shutil.get_terminal_size((110, 24)).columns, encoding=encoding))


def _tell(told: Mapping[str, Any], env: Environment) -> None:
    env.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
