"""`graphferry runs show RUN`: one run, node by node, as data or for people."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from edge.config import EdgeConfig
from edge.offers import last_offer
from edge.people.answers import UNDECIDED, asked_in
from edge.people.posters import notice
from edge.planning.keeping import kept_plan
from edge.planning.took import Prices, Totals, took
from edge.runs.pauses import Pause, pause_of
from edge.runs.writers import place_of_writer
from edge.showing.node_table import NodeRow, node_table
from edge.showing.plan_fact import cost_text, plan_and_fact
from edge.showing.report import maker
from edge.syncing.state import RunState, run_states
from graphs.engine.outcomes import FORK, KEY
from graphs.environment import Environment, ExitStatus
from graphs.errors import JournalError
from graphs.journal import Journal, RunRow
from graphs.journal.ids import run_id_text
from graphs.language.jstext import json_text
from graphs.questions import Question
from graphs.records import Answer, End, Error, Event, Record, Result, State, Submit
from graphs.terminal import printable
from graphs.values import clean
from protocol.noted import noted
from protocol.payload import reference
from protocol.refill import with_counts

__all__ = ["show"]


def show(journal: Journal, prefix: str, config: EdgeConfig, *, as_json: bool, env: Environment) -> int:
    """Print the run whose id begins so. Raises UsageError if there is none, or several, and JournalError once what is readable of a damaged one is
    printed.
    """
    row = journal.run(prefix)
    try:
        run = _Shown.read(journal, row, config)
    except JournalError as damage:
        _show_readable(journal, row, damage, as_json=as_json, env=env)
        raise
    if as_json:
        env.stdout.write(json_text(clean(run.as_json()), 2) + "\n")
    else:
        width = shutil.get_terminal_size((110, 24)).columns
        encoding = getattr(env.stdout, "encoding", None) or "utf-8"
        env.stdout.write("".join(f"{line}\n" for line in run.lines(width, encoding)))
    return ExitStatus.COMPLETED


def _show_readable(journal: Journal, row: RunRow, damage: JournalError, *, as_json: bool, env: Environment) -> None:
    """What every log of a run says before the place where it is damaged."""
    logs: list[tuple[str, Record]] = []
    for run in (row.run, *(child.run for child in journal.children(row.run))):
        for writer in journal.writers(run):
            with suppress(JournalError):
                place = place_of_writer(journal, run)(writer) if run == row.run else "cloud"
                for logged in journal.records(run, writer):
                    logs.append((place, logged.record))  # noqa: PERF401 - what came before the damage counts
    if as_json:
        about = {"run": run_id_text(row.run), "graph": row.name, "graph_hash": row.graph.hex(), "status": row.status}
        records = [entry for place, record in logs if (entry := _entry(place, record)) is not None]
        told = {**about, "started": row.started, "ended": row.ended, "damaged": damage.message, "records": records}
        env.stdout.write(json_text(clean(told), 2) + "\n")
        return
    rows = _rows((place, record) for place, record in logs if isinstance(record, Result))
    env.stdout.write(f"run {run_id_text(row.run)}\ngraph {printable(row.name)} ({row.graph.hex()[:12]})\n{row.status}\n\n")
    env.stdout.write(f"{node_table(rows, width=shutil.get_terminal_size((110, 24)).columns)}\n")


@dataclass(frozen=True, slots=True)
class _Shown:
    """All that is said of one run. `logs` are its records, each with the side that wrote it; `questions` the open ones; `labels` those of its values;
    `pause` why it goes on no further; `plan` what it began with, None if it has none, and `fact` what it took.
    """

    row: RunRow
    state: RunState
    pause: Pause
    logs: list[tuple[str, Record]]
    questions: list[Question]
    labels: list[str]
    plan: dict[str, Any] | None
    fact: Totals

    @classmethod
    def read(cls, journal: Journal, row: RunRow, config: EdgeConfig) -> _Shown:
        place = place_of_writer(journal, row.run)
        logs: list[tuple[str, Record]] = [(place(logged.writer), logged.record) for logged in journal.records(row.run)]
        for child in journal.children(row.run):
            logs += [("cloud", with_counts(journal, logged.record)) for logged in journal.records(child.run)]
        asked = asked_in(journal, row.run).values() if row.status in UNDECIDED else ()
        known = noted(journal, row.run)
        return cls(
            row,
            run_states(journal, [row])[row.run],
            pause_of(journal, row),
            logs,
            [each.question for each in asked if each.open],
            sorted(known.labels) if known is not None else [],
            *_compared(journal, row, config),
        )

    @property
    def text(self) -> str:
        return run_id_text(self.row.run)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "run": self.text,
            "graph": self.row.name,
            "graph_hash": self.row.graph.hex(),
            "status": self.row.status,
            "started": self.row.started,
            "ended": self.row.ended,
            **self.state.as_json(),
            **self.pause.as_json(),
            "records": [entry for place, record in self.logs if (entry := _entry(place, record)) is not None],
            **({"questions": [each.as_json() for each in self.questions]} if self.questions else {}),
            **({"labels": self.labels} if self.labels else {}),
            "plan": self.plan,
            "fact": self.fact.as_json(),
        }

    def lines(self, width: int, encoding: str) -> Iterator[str]:
        """The same for people: how it stands, its nodes, what was planned and what it took, what went wrong, what it asks."""
        yield from self._head()
        yield ""
        results = [(place, record) for place, record in self.logs if isinstance(record, Result)]
        yield from node_table(_rows(results), width=width).splitlines()
        if self.plan is not None:
            yield ""
            yield from plan_and_fact(self.plan, self.fact, width=width, encoding=encoding).splitlines()
        elif self.fact.usd or self.fact.unpriced or self.fact.untold:
            yield cost_text(self.fact)
        for place, record in self.logs:
            if isinstance(record, Error):
                yield f"{place}: {record.path or 'the run'}: {record.code}: {_value(record.text)}"
        yield from map(printable, self.pause.lines(self.row.run))
        for question in self.questions:
            yield f"waits for you: {notice(self.text, question)}"

    def _head(self) -> Iterator[str]:
        row = self.row
        lasted = f", {(row.ended - row.started) / 1000:.1f} s" if row.ended else ""
        status = f"cut off: its process ended before it did; graphferry resume {self.text}" if self.state.cut_off else row.status
        yield f"run {self.text}"
        yield f"graph {printable(row.name)} ({row.graph.hex()[:12]})"
        yield f"{status}{lasted}"
        for run in self.state.upgraded_by:
            yield f"upgraded by run {run_id_text(run)}"
        if self.state.upgrade_of is not None:
            yield f"an upgrade of run {run_id_text(self.state.upgrade_of)}"
        if self.labels:
            yield f"its values carry {', '.join(self.labels)}"


def _compared(journal: Journal, row: RunRow, config: EdgeConfig) -> tuple[dict[str, Any] | None, Totals]:
    """The plan that a run began with, None if it has none, and what it took so far; by the prices of the plan, or else by those of now."""
    plan = kept_plan(journal, row.run)
    if plan is not None:
        return plan, took(journal, row, plan, Prices.of_plan(plan))
    servers = {name: server.price for name, server in config.servers.items() if server.price is not None}
    return None, took(journal, row, None, Prices.of_now(servers, last_offer(journal, config.url)))


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
        by=maker(record.by),
        ms=usage.get("ms"),
        tokens=usage.get("completion_tokens"),
        degraded=record.by.get("degraded"),
    )


def _entry(place: str, record: Record) -> dict[str, Any] | None:
    if isinstance(record, Result):
        return None if KEY in record.by else {
            "type": "result", "place": place, "path": record.path, "at": record.at, "retry": record.retry, "t": record.t,
            "by": dict(record.by), "usage": record.usage, "value": _value(record.value),
        }  # fmt: skip
    if isinstance(record, Error):
        return {
            "type": "error",
            "place": place,
            "path": record.path,
            "code": record.code,
            "text": _value(record.text),
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
            "info": _value(record.info),
        }
    if isinstance(record, Answer):
        return {"type": "answer", "place": place, "path": record.path, "at": record.at, "value": _value(record.value)}
    if isinstance(record, End):
        return {"type": "end", "place": place, "status": record.status, "t": record.t}
    if isinstance(record, Submit):
        entry = {"type": "submit", "place": place, "graph": record.graph.hex(), "parent": record.opts.get("parent") is not None}
        fork: Any = record.opts.get(FORK)
        return entry | {"fork": run_id_text(fork["run"])} if fork else entry
    return None


def _value(value: Any) -> Any:
    """A value as JSON can say it; a large one is beside the journal, or still where it was made."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if (named := reference(value)) is not None:
        labels = f" labelled {', '.join(named.labels)}" if named.labels else ""
        return f"<a value of {named.size:,} bytes{labels}>"
    if isinstance(value, dict):
        return {key: _value(each) for key, each in value.items()}
    return [_value(each) for each in value] if isinstance(value, list) else value
