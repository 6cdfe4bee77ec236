"""Which nodes nobody runs without a word."""

from __future__ import annotations

from graphs.engine.doubts import Doubts
from graphs.errors import LinkCondition


def test_paths_are_in_doubt_as_they_are_named() -> None:
    doubts = Doubts({"pay", "rows[3]/pay"}, repeated={"pay"})
    assert doubts
    assert "pay" in doubts
    assert "rows[3]/pay" in doubts
    assert "rows[2]/pay" not in doubts
    assert "pay#1" not in doubts
    assert "is a fork of, and doing it again" in doubts.why("pay")
    assert "nobody knows whether it happened" in doubts.why("rows[3]/pay")


def test_suspects_are_in_doubt_in_all_rows_and_turns_with_what_nests_them_and_what_is_inside() -> None:
    doubts = Doubts(suspects={"rows/pay"})
    assert doubts
    assert all(each in doubts for each in ("rows[0]/pay", "rows[7]#2!1/pay#3", "rows", "rows/pay/inner"))
    assert not any(each in doubts for each in ("pay", "row", "rows[0]/paying", "rows[0]/other"))
    assert "may have been begun elsewhere" in doubts.why("rows[0]/pay")


def test_what_was_cleared_is_in_doubt_no_more_and_its_neighbours_are() -> None:
    doubts = Doubts(suspects={"rows/pay"}, cleared={"rows[0]/pay"})
    assert "rows[0]/pay" not in doubts
    assert "rows[1]/pay" in doubts


def test_doubts_in_later_turns_of_a_loop_are_known_ahead() -> None:
    doubts = Doubts({"rows[1]/turn#3", "rows[1]/turn#3/pay#1", "step#2/pay"})
    assert [doubts.after("", turn) for turn in (0, 1, 2)] == [True, True, False]
    assert [doubts.after("rows[1]/", turn) for turn in (2, 3)] == [True, False]
    assert not doubts.after("rows[2]/", 0)
    assert [doubts.after("rows[1]/turn#3/", turn) for turn in (0, 1)] == [True, False]
    suspects = Doubts(suspects={"rows/pay"}, cleared={"rows[0]/pay"})
    assert suspects.after("", 7)
    assert suspects.after("rows[0]/", 7)
    assert suspects.after("rows[0]/pay/", 0)
    assert not suspects.after("other/", 0)


def test_of_what_is_withheld_somebody_else_was_told() -> None:
    told = LinkCondition("BLOB_GONE", "a value is gone")
    doubts = Doubts({"pay", "post"}, withheld={"post": told, "read": told})
    assert all(each in doubts for each in ("pay", "post", "read"))
    assert (doubts.told("pay"), doubts.told("post"), doubts.told("read")) == (None, told, told)
    assert Doubts(withheld={"read": told})


def test_nothing_is_in_doubt_of_itself() -> None:
    assert not Doubts()
    assert "pay" not in Doubts(cleared={"pay"})
