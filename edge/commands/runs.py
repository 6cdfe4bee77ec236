"""`graphferry runs`: list the runs of this device; `runs show RUN`: one of them, node by node; `runs cancel RUN`: end one. More: `keeping`,
`forking`."""

from __future__ import annotations

import json
import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from edge.commands import forking, keeping, moving
from edge.config import EdgeConfig, load_config
from edge.offers import last_offer
from edge.people.answers import UNDECIDED, asked_in, asking_runs
from edge.people.posters import notice
from edge.planning.keeping import kept_plan
from edge.planning.took import Prices, Totals, took
from edge.runs.at_work import at_work
from edge.showing.node_table import NodeRow, node_table
from edge.showing.plan_fact import cost_text, plan_and_fact
from edge.syncing.spool import over_the_bound, spooled, total
from edge.syncing.state import run_states
from graphs.engine.outcomes import FORK, KEY
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal, RunRow
from graphs.journal.ids import run_id_text
from graphs.language.jstext import json_text
from graphs.records import Answer, End, Error, Event, Record, Result, State, Submit
from graphs.terminal import printable
from graphs.values import clean
from protocol.payload import reference
from protocol.shared import mark, noted_labels

__all__ = ["add_arguments", "main"]

_OVER: Final = ("completed", "cancelled")
_FORKING: Final = {"fork": forking.fork, "replay": forking.replay}
_MOVING: Final = {"push": moving.push, "pull": moving.pull}
_KEEPING: Final = {"export": keeping.export, "import": keeping.take_in, "rm": keeping.remove}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many to list, newest first")
    commands = parser.add_subparsers(dest="action", metavar="show|cancel|fork|replay|mark|push|pull|export|import|rm")
    show = commands.add_parser("show", help="one run: its nodes, results and errors")
    show.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    show.add_argument("--json", action="store_true", help="print JSON", dest="json_one")
    cancel = commands.add_parser("cancel", help="end a run that is suspended or was cut off, here and at its worker")
    cancel.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    cancel.add_argument("--cloud", metavar="URL", help="the worker that may still work for it, if not the configured one")
    forking.add_commands(commands)
    marks = commands.add_parser("mark", help="mark a run for sync: it goes to the worker and to your other devices")
    marks.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    marks.add_argument("--off", action="store_true", help="no longer; what is elsewhere stays there")
    moving.add_commands(commands)
    keeping.add_commands(commands)


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    if not config.journal.is_file() and args.action not in ("import", "pull"):
        if args.action is not None:
            raise UsageError(f"there is no journal at {config.journal}, so there are no runs")
        env.stdout.write("[]\n" if args.json else "no runs yet\n")
        return ExitStatus.COMPLETED
    if args.action in _FORKING:
        return _FORKING[args.action](args, config, env)
    with Journal.open(config.journal) as journal:
        if args.action == "cancel":
            return _cancel(journal, args, config, env)
        if args.action in _MOVING:
            return _MOVING[args.action](journal, args, config, env)
        if args.action == "mark":
            return _mark(journal, args, config, env)
        if args.action in _KEEPING:
            return _KEEPING[args.action](journal, args, env)
        if args.action == "show":
            return _show(journal, args.run, config, as_json=args.json or args.json_one, env=env)
        return _list(journal, args, env)


def _list(journal: Journal, args: Namespace, env: Environment) -> int:
    rows = journal.runs(args.limit, role="root")
    asks = {row.run: [each.question.path for each in found if each.open] for row, found in asking_runs(journal, rows)}
    states = run_states(journal, rows)
    if args.json:
        entries = [
            {
                "run": run_id_text(row.run),
                "graph": row.name,
                "status": row.status,
                "started": row.started,
                "ended": row.ended,
                **states[row.run].as_json(),
                **({"questions": asks[row.run]} if row.run in asks else {}),
            }
            for row in rows
        ]
        env.stdout.write(json.dumps(entries) + "\n")
        return ExitStatus.COMPLETED
    if not rows:
        env.stdout.write("no runs yet\n")
    for row in rows:
        began = datetime.fromtimestamp(row.started / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        env.stdout.write(
            f"{run_id_text(row.run)}  {began}  {row.status:<10} {row.name}{_besides(states[row.run].words(), asks.get(row.run))}\n"
        )
    return ExitStatus.COMPLETED


def _besides(words: list[str], asked: list[str] | None) -> str:
    """What stands behind a run in the list."""
    said = [*map(printable, words), *([f"asks: {', '.join(map(printable, asked))}"] if asked else [])]
    return f"  ({'; '.join(said)})" if said else ""


def _show(journal: Journal, prefix: str, config: EdgeConfig, *, as_json: bool, env: Environment) -> int:
    row = journal.run(prefix)
    logs: list[tuple[str, Record]] = [("edge", logged.record) for logged in journal.records(row.run)]
    for child in journal.children(row.run):
        logs += [("cloud", logged.record) for logged in journal.records(child.run)]
    state = run_states(journal, [row])[row.run]
    shown = {
        "run": run_id_text(row.run),
        "graph": row.name,
        "graph_hash": row.graph.hex(),
        "status": row.status,
        "started": row.started,
        "ended": row.ended,
        **state.as_json(),
        "records": [entry for place, record in logs if (entry := _entry(place, record)) is not None],
    }
    asked = [each.question for each in asked_in(journal, row.run).values() if each.open and row.status in UNDECIDED]
    if asked:
        shown["questions"] = [each.as_json() for each in asked]
    plan, fact = _compared(journal, row, config)
    if labels := sorted(noted_labels(journal, row.run)):
        shown["labels"] = labels
    if as_json:
        env.stdout.write(json_text(clean({**shown, "plan": plan, "fact": fact.as_json()}), 2) + "\n")
        return ExitStatus.COMPLETED
    lasted = f", {(row.ended - row.started) / 1000:.1f} s" if row.ended else ""
    env.stdout.write(f"run {shown['run']}\ngraph {row.name} ({row.graph.hex()[:12]})\n{row.status}{lasted}\n")
    for run in state.upgraded_by:
        env.stdout.write(f"upgraded by run {run_id_text(run)}\n")
    if state.upgrade_of is not None:
        env.stdout.write(f"an upgrade of run {run_id_text(state.upgrade_of)}\n")
    env.stdout.write(f"its values carry {', '.join(labels)}\n\n" if labels else "\n")
    rows = _rows([(place, record) for place, record in logs if isinstance(record, Result)])
    width = shutil.get_terminal_size((110, 24)).columns
    env.stdout.write(node_table(rows, width=width))
    if plan is not None:
        encoding = getattr(env.stdout, "encoding", None) or "utf-8"
        env.stdout.write(f"\n{plan_and_fact(plan, fact, width=width, encoding=encoding)}")
    elif fact.usd or fact.unpriced:
        env.stdout.write(f"{cost_text(fact)}\n")
    for place, record in logs:
        if isinstance(record, Error):
            env.stdout.write(f"{place}: {record.path or 'the run'}: {record.code}: {_shown(record.text)}\n")
    for question in asked:
        env.stdout.write(f"waits for you: {notice(run_id_text(row.run), question)}\n")
    return ExitStatus.COMPLETED


def _compared(journal: Journal, row: RunRow, config: EdgeConfig) -> tuple[dict[str, Any] | None, Totals]:
    """The plan that a run began with, None if it has none, and what it took so far; by the prices of the plan, or else by those of now."""
    plan = kept_plan(journal, row.run)
    if plan is not None:
        return plan, took(journal, row, plan, Prices.of_plan(plan))
    servers = {name: server.price for name, server in config.servers.items() if server.price is not None}
    return None, took(journal, row, None, Prices.of_now(servers, last_offer(journal, config.url)))


def _cancel(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    import asyncio

    from edge.device import worker_connector
    from edge.runs.cancel import ask_to_cancel, cancel_run
    from edge.syncing.held import holding_of

    row = journal.run(args.run)
    text = run_id_text(row.run)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; cancel the run itself")
    if row.status in _OVER:
        raise UsageError(f"run {text} is over: it is {row.status}")
    url = args.cloud or config.url
    holder = holding_of(journal, row.run).holder
    if holder != journal.store_id:
        asyncio.run(ask_to_cancel(journal, row.run))
        env.stdout.write(f"run {text} is held by the store {holder.hex()}, which is asked to cancel it\n")
        env.stderr.write(
            "That goes along with `graphferry sync`; the run ends when its holder has synced, too, and no process works on it.\n"
        )
        return ExitStatus.COMPLETED
    with at_work(config.journal, row.run):  # whoever works on it would go on
        untold = asyncio.run(cancel_run(journal, row.run, url=url, token=config.token, connect=worker_connector(config)))
    env.stdout.write(f"run {text} is cancelled\n")
    if untold:
        where = f"at {url} could not be told" if url else "could not be told: none is configured"
        env.stderr.write(
            f"The worker {where}; what it was doing for this run it ends by itself when nobody has asked for a week.\n"
        )
    return ExitStatus.COMPLETED


def _mark(journal: Journal, args: Namespace, config: EdgeConfig, env: Environment) -> int:
    row = journal.run(args.run)
    if row.role != "root":
        raise UsageError(f"{args.run} is the part of a run that a worker ran; mark the run itself")
    mark(journal, row.run, on=not args.off)
    journal.flush()
    if not args.off and (warning := over_the_bound(total(spooled(journal)), config.link)) is not None:
        env.stderr.write(f"warning: {warning}\n")
    env.stdout.write(f"run {run_id_text(row.run)} {'is not synced any more' if args.off else 'goes along with the next sync'}\n")
    return ExitStatus.COMPLETED


def _rows(results: Iterable[tuple[str, Result]]) -> list[NodeRow]:
    """A line for each result; the first of a path counts, what came too late is an alternative."""
    rows: list[NodeRow] = []
    counted: set[str] = set()
    for place, record in results:
        if KEY in record.by:  # it may count yet, and would be here once more then
            continue
        row = _row(place, record)
        if record.by.get("alt") or record.path in counted:
            row = replace(row, path=f"{row.path} (kept)", state="completed too late")
        counted.add(record.path)
        rows.append(row)
    return rows


def _row(place: str, record: Result) -> NodeRow:
    usage: Mapping[str, Any] = record.usage or {}
    return NodeRow(
        path=record.path,
        place=place,
        state="completed",
        by=str(record.by.get("model") or record.by.get("agent") or ""),
        ms=usage.get("ms"),
        tokens=usage.get("completion_tokens"),
        degraded=record.by.get("degraded"),
    )


def _entry(place: str, record: Record) -> dict[str, Any] | None:
    if isinstance(record, Result):
        return None if KEY in record.by else {
            "type": "result", "place": place, "path": record.path, "at": record.at, "retry": record.retry, "t": record.t,
            "by": dict(record.by), "usage": record.usage, "value": _shown(record.value),
        }  # fmt: skip
    if isinstance(record, Error):
        return {
            "type": "error",
            "place": place,
            "path": record.path,
            "code": record.code,
            "text": _shown(record.text),
            "final": record.final,
            "retry": record.retry,
        }
    if isinstance(record, Event):
        return {
            "type": "event",
            "place": place,
            "path": record.path,
            "state": State(record.state).name.lower(),
            "t": record.t,
            "info": _shown(record.info),
        }
    if isinstance(record, Answer):
        return {"type": "answer", "place": place, "path": record.path, "at": record.at, "value": _shown(record.value)}
    if isinstance(record, End):
        return {"type": "end", "place": place, "status": record.status, "t": record.t}
    if isinstance(record, Submit):
        entry = {"type": "submit", "place": place, "graph": record.graph.hex(), "parent": record.opts.get("parent") is not None}
        fork: Any = record.opts.get(FORK)
        return entry | {"fork": run_id_text(fork["run"])} if fork else entry
    return None


def _shown(value: Any) -> Any:
    """A value as JSON can say it; a large one is beside the journal, or still where it was made."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if (named := reference(value)) is not None:
        labels = f" labelled {', '.join(named.labels)}" if named.labels else ""
        return f"<a value of {named.size:,} bytes{labels}>"
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value
