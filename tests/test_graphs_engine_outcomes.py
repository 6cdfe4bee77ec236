"""What a run's records say is known."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from graphs.engine.events import Outcome
from graphs.engine.outcomes import AGAIN, known_outcomes
from graphs.records import Error, Event, Input, Record, Result, State, Submit


def result(path: str, value: Any, at: int = 1, **by: Any) -> Result:
    return Result(path, at, 0, value, 0, by, None)


def begun(path: str, at: int = 1, effect: str | None = "once") -> Event:
    return Event(path, at, State.EXECUTING, 0, {"retry": 0} | ({"effect": effect} if effect else {}))


def error(path: str, at: int = 1, *, final: bool = False) -> Error:
    return Error(path, at, 0, "NODE_FAILED", "no", final, True, None, None)


def test_the_first_result_of_a_path_counts_and_alternatives_never() -> None:
    records: list[Record] = [result("a", 0, alt=True), result("a", 1), result("a", 2), result("b#1", None)]
    known = known_outcomes(records)
    assert known.outcomes == {"a": Outcome(State.COMPLETED, 1), "b#1": Outcome(State.COMPLETED, None)}
    assert known.made["a"] is records[1]


def test_a_skip_that_arrival_decided_is_known() -> None:
    assert known_outcomes([Event("any", 0, State.SKIPPED, 0)]).outcomes == {"any": Outcome(State.SKIPPED)}


def test_a_failed_node_is_not_known_and_runs_again() -> None:
    known = known_outcomes([begun("a"), error("a", final=True)])
    assert known.outcomes == {}
    assert known.begun == {"a": 1}


def test_how_often_a_path_was_begun_is_the_highest_count_in_any_log() -> None:
    records: list[Record] = [begun("a", 3), error("a", 2), begun("a", 1), begun("b", 1, None), error("c", 4)]
    assert known_outcomes(records).begun == {"a": 3, "b": 1, "c": 4}


def test_attempts_that_failed_count_until_the_last_of_them() -> None:
    records: list[Record] = [
        error("a"),
        Error("a", 2, 1, "NODE_FAILED", "no", False, True),
        error("b"),
        error("b", 2, final=True),
    ]
    crashed = Error("c", 1, 0, "MODEL_CRASHED", "no", False, True)
    assert known_outcomes([*records, crashed]).retried == {"a": 2}


def test_a_node_with_effects_that_was_in_flight_may_have_happened() -> None:
    assert known_outcomes([begun("mail"), begun("read", effect=None)]).indeterminate == {"mail"}


def test_a_result_or_an_error_of_that_execution_settles_it() -> None:
    assert known_outcomes([begun("a"), result("a", 1)]).indeterminate == set()
    assert known_outcomes([begun("a"), error("a")]).indeterminate == set()


def test_an_error_of_an_earlier_execution_settles_nothing_whichever_log_is_read_first() -> None:
    records: list[Record] = [begun("a", 1), error("a", 1), begun("a", 2)]
    for order in permutations(records):
        assert known_outcomes(order).indeterminate == {"a"}


def test_how_it_ended_in_one_child_run_says_nothing_of_another_that_began_it_under_the_same_number() -> None:
    """Each worker counts from 1: the older child run was given up before the node began there, in the newer one it is at work."""
    given_up: list[Record] = [begun("a"), Error("a", 1, 0, "CANCELLED", "it never began", True, True)]
    at_work: list[Record] = [begun("a")]
    assert known_outcomes([], given_up, at_work).indeterminate == {"a"}
    assert known_outcomes([], at_work, given_up).indeterminate == {"a"}
    assert known_outcomes([], given_up, [*at_work, error("a")]).indeterminate == set()
    assert known_outcomes([], given_up, [*at_work, result("a", 1)]).outcomes == {"a": Outcome(State.COMPLETED, 1)}
    assert known_outcomes([], given_up, [*at_work, result("a", 1)]).indeterminate == set()


def test_a_persons_word_in_the_runs_own_log_ends_it_in_a_child_run() -> None:
    assert known_outcomes([error("a", final=True)], [begun("a")]).indeterminate == set()
    assert known_outcomes([error("a", final=True)], [begun("a", 2)]).indeterminate == {"a"}


def test_that_it_failed_here_says_nothing_of_a_child_run() -> None:
    assert known_outcomes([begun("a"), error("a", final=True)], [begun("a")]).indeterminate == {"a"}


def test_an_alternative_shows_that_it_happened() -> None:
    assert known_outcomes([begun("a"), result("a", 1, alt=True)]).indeterminate == set()


def test_other_records_say_nothing_of_outcomes() -> None:
    known = known_outcomes([Input("a", State.COMPLETED, 1), Event(None, 0, State.SUSPENDED, 0)])
    assert (known.outcomes, known.begun, known.indeterminate) == ({}, {}, set())


def test_a_result_under_a_key_is_no_outcome_and_ends_nothing() -> None:
    known = known_outcomes([begun("pay"), result("pay", 1, key=b"handed")])
    assert known.outcomes == {}
    assert known.indeterminate == {"pay"}


def test_a_fork_says_what_may_have_begun_elsewhere_until_it_begins_here() -> None:
    order = Submit("", bytes(32), {}, {"fork": {"run": bytes(16), "records": 0, "suspects": ["pay", "mail"]}})
    before = Event("mail", 1, State.EXECUTING, 0, {"retry": 0, "effect": "once", "fork": True})
    known = known_outcomes([order, before, begun("pay"), error("pay", final=True)])
    assert "pay" not in known.doubts, "it began in the fork, so somebody said that it may"
    assert "pay#1" in known.doubts
    assert "mail" in known.doubts


def test_what_somebody_said_is_to_run_again_is_in_doubt_no_more_until_it_begins_again() -> None:
    begins = {"effect": "once", "retry": 0}
    began, again = Event("pay", 1, State.EXECUTING, 5, begins), Event("pay", 1, State.WAITING, 6, dict(AGAIN))
    assert known_outcomes([began]).indeterminate == {"pay"}
    told = known_outcomes([began, again])
    assert (told.indeterminate, told.cleared, told.begun, told.retried) == (set(), {"pay"}, {"pay": 1}, {})
    assert known_outcomes([again], [began]).indeterminate == set(), "wherever it was in flight"
    assert known_outcomes([began, again, Event("pay", 2, State.EXECUTING, 7, begins)]).indeterminate == {"pay"}
    assert known_outcomes([began, Event("pay", 1, State.WAITING, 6)]).indeterminate == {"pay"}
