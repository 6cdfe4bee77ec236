"""What is noted of a run's labels, and told to whoever gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphs.journal import Journal
from graphs.journal.archive import LABELS
from graphs.journal.ids import new_run_id
from graphs.language.labels import UNCLEARABLE, UNTOLD
from graphs.values import canonical
from protocol import noted as noting
from protocol.gate import NEVER
from protocol.noted import Noted, drop_note, note, note_of, noted, untold

SOME = Noted(frozenset({"a", "b"}), {"read": frozenset({"a"})})


def test_a_note_is_as_it_was_written(tmp_path: Path) -> None:
    run = new_run_id()
    with Journal.open(tmp_path / "j.db") as journal:
        assert noted(journal, run) is None
        for each in (Noted(), SOME):
            note(journal, run, each)
            journal.flush()
            assert noted(journal, run) == each
        journal.set_meta(LABELS + run.hex(), b"\xc1 damaged")
        journal.flush()
        assert noted(journal, run) == untold()
        drop_note(journal, run)
        journal.flush()
        assert noted(journal, run) is None


def test_what_is_told_is_what_is_heard() -> None:
    assert note_of(SOME.told()) == SOME
    assert note_of(Noted().told()) == Noted()
    many = Noted(frozenset({"a", "b"}), {f"node number {number}": frozenset({"a"}) for number in range(5_000)})
    assert note_of(many.told()) == Noted(many.labels, {"": many.labels}), "too much to tell: all of it everywhere"
    assert SOME | Noted(frozenset({"c"}), {"read": frozenset({"c"})}) == Noted(frozenset("abc"), {"read": frozenset("ac")})


@pytest.mark.parametrize(
    "told", [None, 3, [], [["a"]], [["a"], 3], ["a", {}], [["a"], {"x": "a"}], [[1], {}], [["a"], {1: ["a"]}]]
)
def test_what_cannot_be_read_is_nothing(told: Any) -> None:
    assert note_of(told) is None


def test_nothing_told_is_never_cleared() -> None:
    assert noting.UNTOLD == UNTOLD
    assert untold().labels == untold().places[""] == {UNTOLD}
    assert NEVER == UNCLEARABLE
    assert canonical(untold().told())
