"""Reading a journal: lists, prefixes, and damage that is named instead of returned."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphs.errors import JournalError, UsageError
from graphs.journal import Head, Journal, RunRow, new_run_id, run_id_short, run_id_text
from graphs.journal.reader import graph_address
from graphs.records import End, Handover, Record, Result, Submit, Unknown, chain, encode
from graphs.values import canonical

BODY = b"\x81\xa5nodes\x80"
HASH = graph_address(BODY)
OTHER = b"otherone"


def run_id(number: int) -> bytes:
    return bytes.fromhex("0190") + number.to_bytes(14, "big")


def result(number: int) -> Result:
    return Result(f"node#{number}", 1, 0, {"text": f"value {number}"}, 1_000 + number, {"agent": "echo"})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", synchronous="normal") as journal:
        yield journal


def create(journal: Journal, number: int, *, role: str = "root", parent: bytes | None = None) -> bytes:
    run = run_id(number)
    journal.create_run(run, role=role, graph_hash=HASH, graph=BODY, name=f"{number}.yaml", started=number, parent=parent)
    return run


def fill(journal: Journal, run: bytes, count: int) -> None:
    for number in range(1, count + 1):
        journal.append(run, encode(result(number)))
    journal.flush()


def spoil(journal: Journal, statement: str, *values: object) -> None:
    """Changes the file behind the journal's back."""
    db = sqlite3.connect(journal.path)
    with db:
        assert db.execute(statement, values).rowcount > 0
    db.close()


# Runs


def test_runs_come_newest_first(journal: Journal) -> None:
    numbers = [3, 1, 2]
    for number in numbers:
        create(journal, number)
    journal.flush()
    assert [row.started for row in journal.runs()] == [3, 2, 1]
    assert [row.started for row in journal.runs(limit=2)] == [3, 2]


def test_runs_by_role_and_status(journal: Journal) -> None:
    root = create(journal, 1)
    child = create(journal, 2, role="child", parent=root)
    second = create(journal, 3, role="child", parent=root)
    journal.finish_run(child, "completed", ended=9)
    journal.flush()
    assert [row.run for row in journal.runs(role="root")] == [root]
    assert [row.run for row in journal.runs(status="running")] == [second, root]
    assert [row.run for row in journal.runs(role="child", status="running")] == [second]
    assert [row.run for row in journal.children(root)] == [child, second]
    assert journal.children(child) == []


def test_a_run_shows_all_that_was_said_of_it(journal: Journal) -> None:
    run = create(journal, 1)
    journal.flush()
    assert journal.run(run) == RunRow(run, None, "root", HASH, "1.yaml", "running", 1, None, None)
    journal.finish_run(run, "failed", ended=7, exit_info={"node": "draft", "why": "größer"})
    journal.flush()
    assert journal.run(run) == RunRow(run, None, "root", HASH, "1.yaml", "failed", 1, 7, {"node": "draft", "why": "größer"})
    journal.reopen_run(run)
    journal.flush()
    assert journal.run(run) == RunRow(run, None, "root", HASH, "1.yaml", "running", 1, None, None)


def test_a_run_is_found_by_any_beginning_that_is_its_own(journal: Journal) -> None:
    run, other = create(journal, 0x10), create(journal, 0x21)
    journal.flush()
    assert journal.run(run_id_text(run)).run == run
    assert journal.run(run.hex()[:31]).run == run
    assert journal.run(run_id_text(other)[:35].upper()).run == other
    with pytest.raises(UsageError, match="several runs begin with 0190-0: ") as caught:
        journal.run("0190-0")
    assert run_id_text(run) in str(caught.value)
    assert run_id_text(other) in str(caught.value)
    with pytest.raises(UsageError, match="there is no run 0191"):
        journal.run("0191")
    with pytest.raises(UsageError, match="there is no run"):
        journal.run(run_id(5))
    with pytest.raises(UsageError, match="is not the beginning of a run id"):
        journal.run("latest")


def test_what_a_run_and_its_child_runs_begin_with_names_the_run(journal: Journal) -> None:
    run = create(journal, 0x10)
    children = [create(journal, number, role="child", parent=run) for number in range(0x11, 0x1F)]
    journal.flush()
    assert journal.run("0190-0").run == run
    assert journal.run(run_id_text(children[3])).run == children[3]
    journal.remove_run(run)
    journal.flush()
    with pytest.raises(UsageError, match="several runs begin with 0190-0: "):
        journal.run("0190-0")


def test_a_prefix_of_very_many_runs_does_not_list_them_all(journal: Journal) -> None:
    for number in range(40):
        create(journal, number)
    journal.flush()
    with pytest.raises(UsageError, match=" and more") as caught:
        journal.run("0190")
    assert len(caught.value.message) < 500


# Graphs and facts


def test_a_graph_comes_back_with_its_source(journal: Journal) -> None:
    assert journal.graph(HASH) is None
    journal.put_graph(HASH, BODY)
    journal.flush()
    graph = journal.graph(HASH)
    assert graph is not None
    assert (graph.body, graph.source, graph.file) == (BODY, None, None)
    for text in ("nodes: {}\n", "nodes: {} # later"):
        journal.put_graph(HASH, BODY, source=text, file="news.yaml")
    journal.flush()
    graph = journal.graph(HASH)
    assert graph is not None
    assert (graph.body, graph.source, graph.file) == (BODY, "nodes: {}\n", "news.yaml")


def test_a_damaged_graph_is_not_handed_out(journal: Journal) -> None:
    journal.put_graph(HASH, BODY)
    journal.flush()
    spoil(journal, "UPDATE graphs SET body = ?", BODY + b"\x00")
    with pytest.raises(JournalError, match=f"is damaged: graph {HASH.hex()}"):
        journal.graph(HASH)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET exit_info = '{'",
        "UPDATE bodies SET labels = '['",
        "UPDATE audit SET entry = '{]'",
    ],
)
def test_what_lies_beside_the_records_and_cannot_be_read_is_damage(journal: Journal, statement: str) -> None:
    run = create(journal, 1)
    journal.finish_run(run, "failed", ended=7, exit_info={"why": "node"})
    journal.pin_body(run, "own", bytes(32), 5, own=True, labels=["private"])
    journal.note_departure(run, 5, {"to": "somebody"})
    journal.flush()
    spoil(journal, statement)
    with pytest.raises(JournalError, match="cannot be read: ") as caught:
        (journal.run(run), journal.bodies(run), journal.departures(run))
    assert str(journal.path) in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "what"), [(b"", "not a value"), (b"\x81\xa1", "not a value"), (b"\x05", "a int, not a dict"), (5, "not a value")]
)
def test_a_damaged_note_is_named_and_where_it_is(journal: Journal, stored: object, what: str) -> None:
    journal.set_meta("given 1", canonical({"a": 1}))
    journal.set_meta("given 2", canonical({"b": 2}))
    journal.flush()
    assert journal.meta_value("given 3", dict) is None
    assert journal.meta_values("given ", dict) == {"1": {"a": 1}, "2": {"b": 2}}
    spoil(journal, "UPDATE meta SET value = ? WHERE key = 'given 2'", stored)
    assert journal.meta_value("given 1", dict) == {"a": 1}
    for read in (lambda: journal.meta_value("given 2", dict), lambda: journal.meta_values("given ", dict)):
        with pytest.raises(JournalError, match=rf"cannot be read: its note 'given 2' is damaged \({what}") as caught:
            read()
        assert str(journal.path) in str(caught.value)


@pytest.mark.parametrize("statement", ["DELETE FROM store", "UPDATE store SET id = 5"])
def test_a_file_that_does_not_say_whose_it_is_is_not_opened(journal: Journal, statement: str) -> None:
    spoil(journal, statement)
    with pytest.raises(JournalError, match="it does not say whose it is"):
        Journal.open(journal.path)


def test_facts_about_the_store(journal: Journal) -> None:
    assert journal.meta("offer") is None
    journal.set_meta("offer", b"\x80")
    journal.set_meta("offer", b"\x81")
    journal.flush()
    assert journal.meta("offer") == b"\x81"


# Records


def test_heads_are_what_is_durable(journal: Journal) -> None:
    assert journal.heads() == []
    first, second, empty = (create(journal, number) for number in (1, 2, 3))
    with journal._writer._draining:  # nothing is committed meanwhile
        journal.accept(second, OTHER, 1, encode(result(1)))
        journal.append(first, encode(result(1)))
        journal.append(first, encode(result(2)))
        assert journal.heads() == []
    journal.flush()
    one = chain(0, Result.TYPE, encode(result(1)).tail)
    two = chain(one, Result.TYPE, encode(result(2)).tail)
    assert journal.heads() == [Head(first, journal.store_id, 2, two), Head(second, OTHER, 1, one)]
    assert journal.heads(second) == [Head(second, OTHER, 1, one)]
    assert journal.heads(empty) == []


def test_a_log_from_any_place(journal: Journal) -> None:
    run = create(journal, 1)
    fill(journal, run, 1_500)  # more than two pages
    log = list(journal.entries(run, journal.store_id))
    assert [entry.seq for entry in log] == list(range(1, 1_501))
    for after in (1, 511, 512, 513, 1_499, 1_500):
        assert list(journal.entries(run, journal.store_id, after)) == log[after:]
        assert journal.chk(run, journal.store_id, after) == log[after - 1].chk
    assert journal.chk(run, journal.store_id, 0) == 0
    with pytest.raises(JournalError, match=r"record 1501 of writer .*: it is not there"):
        journal.chk(run, journal.store_id, 1_501)
    assert list(journal.entries(run, OTHER)) == []


def test_records_that_follow_while_a_log_is_read_are_read_too(journal: Journal) -> None:
    run = create(journal, 1)
    fill(journal, run, 600)
    reading = journal.entries(run, journal.store_id)
    next(reading)
    fill(journal, run, 10)
    assert [entry.seq for entry in reading] == list(range(2, 611))


@pytest.mark.parametrize(
    ("statement", "seq", "what"),
    [
        ("UPDATE records SET tail = CAST(substr(tail, 1, 9) || x'00' || substr(tail, 11) AS BLOB) WHERE seq = 4", 4, "checksum"),
        ("UPDATE records SET tail = x'' WHERE seq = 1", 1, "checksum"),
        ("UPDATE records SET type = 0x33 WHERE seq = 7", 7, "checksum"),
        ("UPDATE records SET chk = chk + 1 WHERE seq = 6", 6, "checksum"),
        ("DELETE FROM records WHERE seq = 1", 1, "it is not there, but later ones are"),
        ("DELETE FROM records WHERE seq = 5", 5, "it is not there, but later ones are"),
        ("DELETE FROM records WHERE seq = 9", 9, "it is not there, but the log once had 9 records"),
    ],
)
def test_damage_is_named_and_nothing_beyond_it_is_returned(journal: Journal, statement: str, seq: int, what: str) -> None:
    run = create(journal, 1)
    fill(journal, run, 9)
    journal.finish_run(run, "completed", ended=1)
    journal.flush()
    spoil(journal, statement)
    seen: list[int] = []
    with pytest.raises(JournalError, match=what) as caught:
        seen.extend(logged.seq for logged in journal.records(run))
    assert seen == list(range(1, seq))
    for part in (f"record {seq} ", journal.store_id.hex(), run_id_text(run), str(journal.path), run_id_short(run)):
        assert part in str(caught.value)


def test_bytes_that_are_no_record_are_damage_even_if_the_checksum_holds(journal: Journal) -> None:
    run = create(journal, 1)
    journal.append(run, encode(End(0, 1, {}))._replace(tail=b"\xc1"))
    journal.flush()
    with pytest.raises(JournalError, match="is damaged: record 1 of writer"):
        list(journal.records(run))


def test_a_record_of_a_later_version_is_kept_as_it_is(journal: Journal) -> None:
    run = create(journal, 1)
    later = Unknown(0x2F, b"\x01\xa3new")
    journal.append(run, encode(later))
    journal.flush()
    assert [(entry.record, entry.type) for entry in journal.records(run)] == [(later, 0x2F)]
    assert [entry.fields for entry in journal.entries(run, journal.store_id)] == [2]


@pytest.mark.parametrize("column", ["type", "fields", "tail", "base"])
@pytest.mark.parametrize("junk", [b"junk", "junk", 0.5])
def test_a_column_that_holds_something_else_is_damage(journal: Journal, column: str, junk: object) -> None:
    if (column, type(junk)) == ("tail", bytes):
        junk = 7
    run = create(journal, 1)
    fill(journal, run, 3)
    spoil(journal, f"UPDATE records SET {column} = ? WHERE id & 4294967295 = 1", junk)
    with pytest.raises(JournalError, match="is damaged: record 1 of writer"):
        list(journal.records(run))
    if column != "fields":
        with pytest.raises(JournalError, match="is damaged: record 1 of writer"):
            journal.first(run, journal.store_id)
    if column in ("tail", "base"):
        with pytest.raises(JournalError, match="is damaged: record 1 of writer"):
            list(journal.records_of(run, *{logged_type for (logged_type,) in types_of(journal)}))


def test_how_many_records_a_log_had_is_a_number(journal: Journal) -> None:
    run = create(journal, 1)
    fill(journal, run, 3)
    spoil(journal, "UPDATE logs SET noted = ?", b"junk")
    with pytest.raises(JournalError, match="cannot be read: how many records a log of run"):
        list(journal.records(run))


def types_of(journal: Journal) -> list[tuple[int]]:
    """The types of the records, as they are kept."""
    db = sqlite3.connect(journal.path)
    found = db.execute("SELECT DISTINCT type FROM records").fetchall()
    db.close()
    return found


def test_a_damaged_file_is_a_journal_error(journal: Journal) -> None:
    run = create(journal, 1)
    fill(journal, run, 50)
    db = sqlite3.connect(journal.path)
    db.execute("DROP TABLE records")
    db.close()
    with pytest.raises(JournalError, match=r"journal\.db cannot be read: no such table: records"):
        list(journal.records(run))


# What is kept beside runs


def test_facts_are_listed_by_how_their_keys_begin_and_forgotten(journal: Journal) -> None:
    for key in ("owner 1", "owner 2", "owned", "Owner 3", "owner%"):
        journal.set_meta(key, key.encode())
    journal.flush()
    assert journal.metas("owner ") == {"owner 1": b"owner 1", "owner 2": b"owner 2"}
    journal.drop_meta("owner 1")
    journal.drop_meta("never was")
    journal.flush()
    assert journal.metas("owner ") == {"owner 2": b"owner 2"}
    assert journal.metas("") == journal.metas("o") | {"Owner 3": b"Owner 3"}


def test_the_bytes_of_runs_are_those_of_their_records(journal: Journal) -> None:
    one, two = create(journal, 1), create(journal, 2)
    fill(journal, one, 3)
    assert journal.sizes() == {one: sum(len(encode(result(number)).tail) for number in (1, 2, 3))}
    journal.accept(two, OTHER, 1, encode(result(1)))
    journal.append(two, encode(result(2)))
    journal.flush()
    assert journal.sizes(two) == {two: sum(len(encode(result(number)).tail) for number in (1, 2))}
    assert set(journal.sizes()) == {one, two}
    assert journal.sizes(run_id(9)) == {}


def test_graphs_that_no_run_begins_with_are_dropped_while_none_goes_on(journal: Journal) -> None:
    other = b"\x82\xa5nodes\x80\xa7version\xcb?\xe0\x00\x00\x00\x00\x00\x00"
    journal.put_graph(graph_address(other), other)
    run = create(journal, 1)
    journal.drop_graphs()
    journal.flush()
    assert journal.graph(graph_address(other)) is not None
    journal.finish_run(run, "completed", ended=1)
    journal.drop_graphs()
    journal.flush()
    assert journal.graph(graph_address(other)) is None
    assert journal.graph(HASH) is not None


def test_records_of_some_types_are_found_in_a_long_log_without_the_others(tmp_path: Path) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=0)
        order, given = Submit("", bytes(32), {}, {}), Handover(OTHER, 2)
        made = [Result(f"n{number}", 1, 0, "x" * 2_000, 0, {}) for number in range(20)]
        records: list[Record] = [order, *made[:10], given, *made[10:]]
        for record in records:
            journal.append(run, encode(record))
        journal.accept(run, OTHER, 1, encode(End(0, 1, {})))
        journal.flush()
        found = [(each.writer, each.seq, each.record) for each in journal.records_of(run, Submit.TYPE, Handover.TYPE, End.TYPE)]
        own = journal.store_id
        assert found == [(own, 1, order), (own, 12, given), (OTHER, 1, End(0, 1, {}))]
        assert [each.record for each in journal.records_of(run, Result.TYPE)] == made, "also those that are kept in parts"
        assert list(journal.records_of(new_run_id(), Submit.TYPE)) == []


def test_a_damaged_record_of_those_types_is_named(tmp_path: Path) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=0)
        for record in (Submit("", bytes(32), {}, {}), Handover(OTHER, 2)):
            journal.append(run, encode(record))
    db = sqlite3.connect(tmp_path / "journal.db")
    with db:
        db.execute("UPDATE records SET tail = ? WHERE seq = 2", (encode(Handover(OTHER, 3)).tail,))
    db.close()
    with Journal.open(tmp_path / "journal.db") as journal, pytest.raises(JournalError, match="record 2 of writer"):
        list(journal.records_of(run, Handover.TYPE))


def test_the_first_record_of_a_log_is_had_without_the_rest(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "first.db") as journal:
        run = bytes(16)
        first = Submit("", bytes(32), {}, {})
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=1, first=encode(first))
        journal.append(run, encode(Result("a", 1, 0, 1, 5, {})))
        journal.flush()
        found = journal.first(run, journal.store_id)
        assert found is not None
        assert (found.seq, found.record) == (1, first)
        assert journal.first(run, b"another!") is None
        db = sqlite3.connect(tmp_path / "first.db")
        with db:
            db.execute("UPDATE records SET tail = x'00' WHERE seq = 1")
        db.close()
        with pytest.raises(JournalError, match="record 1 of writer"):
            journal.first(run, journal.store_id)
