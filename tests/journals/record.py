"""Writes the journal that this version makes beside those of earlier ones. Never changes a file that is there.

PYTHONPATH=.:tests python tests/journals/record.py
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from msgpack import ExtType, packb

from graphs.journal import Journal, run_id_text
from graphs.journal.history import HistoryRow
from graphs.journal.reader import graph_address
from graphs.journal.schema import APPLICATION_ID, MIGRATIONS
from graphs.records import (
    Answer,
    Cancel,
    Close,
    Encoded,
    End,
    Error,
    Event,
    Frame,
    Handover,
    Input,
    Record,
    Result,
    Start,
    State,
    Submit,
    Unknown,
    encode,
)
from graphs.values import MISSING, canonical
from journal_tagged import record_to_json

HERE = Path(__file__).parent

RUN = bytes.fromhex("018bcfe568007000800000000000abcd")
CHILD = bytes.fromhex("018bcfe568017000800000000000abce")
WORKER = b"worker01"
PERSON = b"person01"
T = 1_700_000_000_000

GRAPH = {
    "version": 0.5,
    "nodes": {
        "topic": {"value": "tides"},
        "outline": {"agent": "llmAgent", "params": {"model": "small"}, "inputs": {"prompt": ":topic"}},
        "draft": {"agent": "llmAgent", "params": {"model": "large"}, "inputs": {"prompt": ":outline.text"}, "isResult": True},
    },
}
SOURCE = "version: 0.5\nnodes:\n  topic: {value: tides}\n  # ...\n"

OWN: Sequence[Record] = [
    Submit(
        "", graph_address(canonical(GRAPH)), {"topic": [State.INJECTED, "tides"]}, {"parent": None, "options": {"strict": True}}
    ),
    Event("outline", 1, State.EXECUTING, T, {"retry": 0}),
    Result(
        "outline", 1, 0, {"text": "Größe der Gezeiten 🌊"}, T + 1, {"model": "small", "agent": "llmAgent"}, {"in": 12, "out": 30}
    ),
    Start("draft", 1),
    Input("outline", State.COMPLETED, {"text": "x", "image": b"\x00\xff", "score": 0.25, "count": 2**63, "nothing": None}),
    Input("quiet", State.COMPLETED, MISSING),
    Input("odd", State.INJECTED, [float("inf"), -0.5, [], {}, True, -(2**63), ExtType(1, packb([b"h" * 32, 70_000]))]),
    Frame("rows[3]/", graph_address(b"\x80"), {}, {"demand": True, "begun": {"rows[3]/llm#2": 1}}),
    Event("any", 0, State.SKIPPED, T + 2),
    Event(None, 0, State.SUSPENDED, T + 3, {"why": "QUOTA"}),
    Error("draft", 1, 0, "NODE_FAILED", "the tool said no", False, True, None, {"line": 3}),
    Error("draft", 2, 1, "MODEL_OVERLOADED", "busy", True, True, 1_500),
    Cancel(["rows[3]/llm", "draft!1/%5Bodd%5D"], "not needed"),
    Cancel(None, "by the user"),
    Close("rows[3]/"),
    Close(),
    Handover(WORKER, 2),
    Unknown(0x2E, packb(1) + packb("from a later version")),
    End(2, T + 9, {"tokens": 42, "usd": 0.001, "ms": 12}),
]
WORKERS: Sequence[Record] = [
    Result("draft", 1, 0, ExtType(7, packb([b"i" * 16, ["private"], 120])), T + 4, {"model": "large"}, {"in": 40, "out": 200}),
    End(0, T + 5, {}),
]
PERSONS: Sequence[Record] = [Answer("ask", 1, {"choice": 1})]


def fill(journal: Journal) -> None:
    body = canonical(GRAPH)
    journal.create_run(RUN, role="root", graph_hash=graph_address(body), graph=body, name="tides.yaml", started=T, source=SOURCE)
    journal.create_run(CHILD, role="child", parent=RUN, graph_hash=graph_address(b"\x80"), graph=b"\x80", name="", started=T)
    for record in OWN:
        journal.append(RUN, encode(record))
    for seq, record in enumerate(WORKERS, 1):
        journal.accept(RUN, WORKER, seq, later(encode(record)) if seq == 1 else encode(record))
    for seq, record in enumerate(PERSONS, 1):
        journal.accept(RUN, PERSON, seq, encode(record))
    journal.finish_run(RUN, "cancelled", ended=T + 9, exit_info={"reason": "by the user"})
    journal.pin_body(RUN, "own", b"i" * 16, 120, own=False, labels=["private"])
    journal.set_meta("offer", b"\x80")
    journal.note_history([HistoryRow("agent llmAgent", "edge", "small", RUN, T, 1, True, 420, 300, 12, 30)], T)
    journal.keep_plan(RUN, b"\x80")
    journal.flush()


def later(encoded: Encoded) -> Encoded:
    """As a later version might write it, with one field more."""
    return Encoded(encoded.type, encoded.fields + 1, encoded.tail + packb({"new": 1}))


def dump(journal: Journal) -> Mapping[str, object]:
    logs = []
    for head in journal.heads(RUN):
        entries = journal.entries(RUN, head.writer)
        meanings = journal.records(RUN, head.writer)
        logs.append(
            {
                "writer": head.writer.hex(),
                "records": [
                    {
                        "seq": entry.seq,
                        "type": entry.type,
                        "fields": entry.fields,
                        "tail": entry.tail.hex(),
                        "chk": entry.chk,
                        "means": record_to_json(logged.record),
                    }
                    for entry, logged in zip(entries, meanings, strict=True)
                ],
            }
        )
    return {"format": len(MIGRATIONS), "run": run_id_text(RUN), "logs": logs}


def main() -> None:
    name = f"format-{len(MIGRATIONS)}"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        with Journal.open(path) as journal:
            fill(journal)
            text = json.dumps(dump(journal), indent=1, ensure_ascii=False)
        db = sqlite3.connect(path)
        pragmas = [f"PRAGMA application_id = {APPLICATION_ID};", f"PRAGMA user_version = {len(MIGRATIONS)};"]
        script = "\n".join([*pragmas, *db.iterdump()])
        db.close()
    for file, content in ((HERE / f"{name}.json", text), (HERE / f"{name}.sql", script)):
        with file.open("x") as out:
            out.write(content + "\n")
        print(f"wrote {file.name}")


if __name__ == "__main__":
    main()
