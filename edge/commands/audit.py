"""`graphferry audit RUN`: what left this device in a run, when, to whom, with which labels, and why it might."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from edge.auditing.lines import Audit, Line, audit_of
from edge.config import load_config
from edge.showing.node_table import size
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError
from graphs.journal import Journal
from graphs.journal.ids import run_id_text
from graphs.journal.reader import RunRow
from graphs.terminal import columns, printable

__all__ = ["add_arguments", "main"]

_HEAD: Final = ("when", "what", "node", "size", "to", "labels", "why")
_NOT_SURE: Final = " ?"
"""Behind the time of what the worker has not confirmed: it may not have left."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    if not config.journal.is_file():
        raise UsageError(f"there is no journal at {config.journal}, so there are no runs")
    with Journal.open(config.journal) as journal:
        row = journal.run(args.run)
        if row.role != "root":
            raise UsageError(f"{args.run} is the part of a run that a worker ran; audit the run itself")
        audit = audit_of(journal, row.run)
    env.stdout.write(_as_json(row, audit) if args.json else _as_text(row, audit))
    return ExitStatus.COMPLETED


def _as_json(row: RunRow, audit: Audit) -> str:
    told = {
        "run": run_id_text(row.run),
        "graph": row.name,
        "status": row.status,
        "left": [line.as_json() for line in audit.lines if line.kind != "declassified"],
        "declassified": [line.as_json() for line in audit.lines if line.kind == "declassified"],
        "orders": audit.orders,
        "totals": _totals(audit.lines),
    }
    return json.dumps(told, ensure_ascii=False) + "\n"


def _totals(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """How much went to whom."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line.kind != "declassified":
            told = found.setdefault(whom(line.to), {"to": whom(line.to), "lines": 0, "bytes": 0, "labels": set()})
            told["lines"] += 1
            told["bytes"] += line.size
            told["labels"] |= {*line.labels}
    return [{**each, "labels": sorted(each["labels"])} for each in found.values()]


def whom(to: Mapping[str, Any]) -> str:
    """To whom something went, in words."""
    if "worker" in to:
        return f"worker {to['worker']}" + (f" ({to['store'][:8]})" if "store" in to else "")
    return str(to.get("server") or to.get("agent") or "")


def _as_text(row: RunRow, audit: Audit) -> str:
    said = [f"run {run_id_text(row.run)}", f"graph {printable(row.name)}", ""]
    if not audit.lines:
        return "\n".join([*said, "Nothing left this device in this run.", ""])
    table = [_HEAD, *map(_cells, audit.lines)]
    widths = [max(map(columns, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell + " " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True))
        said.append("  ".join(padded).rstrip())
    said.append("")
    for told in _totals(audit.lines):
        carried = f", with {', '.join(told['labels'])}" if told["labels"] else ", nothing labelled"
        said.append(printable(f"{size(told['bytes'])} to {told['to']}{carried}"))
    if any(line.confirmed is False for line in audit.lines):
        said.append("?  sent, or about to be when the connection is back: the worker has not said that it has it")
    return "\n".join([*said, ""])


def _cells(line: Line) -> tuple[str, ...]:
    moment = datetime.fromtimestamp(line.t / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    unsure = _NOT_SURE if line.confirmed is False else ""
    labels = ", ".join(line.labels) or "-"
    texts = (moment + unsure, line.kind, line.path or "-", size(line.size), whom(line.to) or "-", labels, line.why)
    return tuple(map(printable, texts))
