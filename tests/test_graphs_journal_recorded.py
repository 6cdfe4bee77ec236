"""Journals that earlier versions wrote are opened and replayed by this one; see journals/README.md."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from graphs.journal import Journal, parse_run_id
from graphs.journal.reader import graph_address
from graphs.journal.schema import MIGRATIONS
from graphs.records import RECORDS, Encoded, chain, decode, encode
from graphs.values import decode as decode_value
from journal_tagged import record_from_json

HERE = Path(__file__).parent / "journals"
FORMATS = sorted(int(file.stem.removeprefix("format-")) for file in HERE.glob("format-*.json"))


def sample(number: int) -> dict[str, Any]:
    text = (HERE / f"format-{number}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def restore(number: int, path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript((HERE / f"format-{number}.sql").read_text(encoding="utf-8"))
    db.close()


def test_every_format_up_to_the_present_one_is_recorded() -> None:
    assert list(range(1, len(MIGRATIONS) + 1)) == FORMATS


@pytest.mark.parametrize("number", FORMATS)
def test_recorded_bytes_mean_what_they_meant(number: int) -> None:
    seen = set()
    for log in sample(number)["logs"]:
        chk = 0
        for seq, entry in enumerate(log["records"], 1):
            tail = bytes.fromhex(entry["tail"])
            assert entry["seq"] == seq
            assert decode(entry["type"], tail) == record_from_json(entry["means"])
            chk = chain(chk, entry["type"], tail)
            assert chk == entry["chk"]
            seen.add(entry["type"])
    assert set(RECORDS) <= seen


@pytest.mark.parametrize("number", FORMATS)
def test_what_they_mean_is_still_written_as_the_same_bytes(number: int) -> None:
    extended = 0
    for log in sample(number)["logs"]:
        for entry in log["records"]:
            written = encode(record_from_json(entry["means"]))
            recorded = Encoded(entry["type"], entry["fields"], bytes.fromhex(entry["tail"]))
            if written != recorded:  # fields that a later version appended are not ours to write
                assert recorded.tail.startswith(written.tail)
                assert recorded.fields > written.fields
                extended += 1
    assert extended == 1


@pytest.mark.parametrize("number", FORMATS)
def test_a_recorded_file_is_opened_read_and_continued(number: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    restore(number, path)
    data = sample(number)
    run = parse_run_id(data["run"])
    with Journal.open(path) as journal:
        logs = {log["writer"]: log["records"] for log in data["logs"]}
        assert journal.store_id.hex() in logs
        assert {head.writer.hex(): (head.last, head.chk) for head in journal.heads(run)} == {
            writer: (len(records), records[-1]["chk"]) for writer, records in logs.items()
        }
        for writer, records in logs.items():
            assert [entry.tail.hex() for entry in journal.entries(run, bytes.fromhex(writer))] == [
                each["tail"] for each in records
            ]
            found = [logged.record for logged in journal.records(run, bytes.fromhex(writer))]
            assert found == [record_from_json(each["means"]) for each in records]
        row = journal.run(run)
        assert (row.role, row.name, row.status, row.exit_info) == ("root", "tides.yaml", "cancelled", {"reason": "by the user"})
        assert [child.parent for child in journal.children(run)] == [run]
        graph = journal.graph(row.graph)
        assert graph is not None
        assert list(decode_value(graph.body)["nodes"]) == ["topic", "outline", "draft"]
        assert graph.source is not None
        assert graph_address(graph.body) == row.graph
        assert journal.meta("offer") == b"\x80"
        last = len(logs[journal.store_id.hex()])
        assert journal.write(run, encode(record_from_json(logs[journal.store_id.hex()][0]["means"]))) == last + 1
        assert journal.next_conn() == 1


@pytest.mark.parametrize("number", [each for each in FORMATS if each >= 2])
def test_a_recorded_run_still_needs_its_bodies(number: int, tmp_path: Path) -> None:
    restore(number, tmp_path / "journal.db")
    with Journal.open(tmp_path / "journal.db") as journal:
        (row,) = journal.bodies(parse_run_id(sample(number)["run"]))
        assert row == ("own", b"i" * 16, 120, ("private",))
