"""What becomes of records that are in the journal already when a commit brings them: two processes of one store may be given the same copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphs.errors import JournalError
from graphs.journal import Journal
from graphs.journal.reader import graph_address
from graphs.records import Result, encode

BODY = b"\x80"
RUN = bytes.fromhex("0190") + bytes(14)
WORKER = b"a worker"


def result(number: int, text: str = "") -> Result:
    return Result(f"node-{number}", 1, 0, {"number": number, "text": text}, 1, {})


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Journal, Journal]]:
    """The journal as two processes have it open, with a run in it."""
    with Journal.open(tmp_path / "journal.db") as one, Journal.open(tmp_path / "journal.db") as other:
        one.create_run(RUN, role="root", graph_hash=graph_address(BODY), graph=BODY, name="news.yaml", started=1)
        one.flush()
        assert [each.have(RUN, WORKER) for each in (one, other)] == [0, 0], "each has read the head of the log"
        yield one, other


def take(journal: Journal, first: int, last: int, text: str = "") -> None:
    for number in range(first, last + 1):
        journal.accept(RUN, WORKER, number, encode(result(number, text)))
    journal.flush()


def held(journal: Journal) -> list[object]:
    return [each.record.value["number"] for each in journal.records(RUN, WORKER) if isinstance(each.record, Result)]


@pytest.mark.parametrize("text", ["", "a text that is long enough to be kept as what is new in it " * 100])
def test_a_copy_that_another_process_inserted_meanwhile_is_there_once(both: tuple[Journal, Journal], text: str) -> None:
    one, other = both
    take(one, 1, 5, text)
    take(other, 1, 8, text)
    take(one, 6, 9, text)
    assert held(one) == held(other) == list(range(1, 10))
    assert one.chk(RUN, WORKER, 9) == other.chk(RUN, WORKER, 9)
    assert [each.record for each in one.records(RUN, WORKER)] == [result(number, text) for number in range(1, 10)]


def test_a_copy_that_says_something_else_than_what_is_there_is_not_taken(both: tuple[Journal, Journal]) -> None:
    one, other = both
    take(one, 1, 3)
    with pytest.raises(JournalError, match="could not be written"):
        take(other, 1, 3, "another log")
    with pytest.raises(JournalError):
        other.close()
    assert [each.record for each in one.records(RUN, WORKER)] == [result(number) for number in (1, 2, 3)]
