from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edge.showing.report import NodeReport, RunReport, maker, result_text, status_of
from graphs.environment import ExitStatus
from graphs.errors import LinkCondition, NodeError, WorkerUnreachable
from graphs.records import State
from graphs.values import MISSING, Value

UNREACHED = WorkerUnreachable("ws://nowhere/v1/link", "the worker cannot be reached")


def report(status: str, *, errors: Mapping[str, BaseException] | None = None, done: bool = False) -> RunReport:
    nodes = {"n": NodeReport("n", "completed" if done else "suspended", "cloud", "because")}
    return RunReport("r", status, {}, errors or {}, nodes)


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (report("completed", done=True), ExitStatus.COMPLETED),
        (report("failed", errors={"n": NodeError("no")}), ExitStatus.FAILED),
        (report("cancelled"), ExitStatus.INTERRUPTED),
        (report("suspended", errors={"n": UNREACHED}), ExitStatus.UNREACHABLE),
        (report("suspended", errors={"n": UNREACHED}, done=True), ExitStatus.SUSPENDED),
        (report("suspended", errors={"n": LinkCondition("VALUE_TOO_LARGE", "too large")}), ExitStatus.SUSPENDED),
        (report("diverged"), ExitStatus.FAILED),
    ],
)
def test_the_exit_status_says_how_it_ended(made: RunReport, status: ExitStatus) -> None:
    assert made.exit_status == status


def test_each_way_to_end_has_its_word() -> None:
    ways = (State.COMPLETED, State.FAILED, State.ABORTED, State.SUSPENDED)
    assert [status_of(each) for each in ways] == ["completed", "failed", "cancelled", "suspended"]


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ({"agent": "llmAgent", "model": "small"}, "small"),
        ({"agent": "copyAgent", "version": "1"}, "copyAgent"),
        ({"assumed": "done"}, "a person"),
        ({}, ""),
    ],
)
def test_what_made_a_result_is_a_model_or_an_agent_or_the_word_of_a_person(by: dict[str, Value], told: str) -> None:
    assert maker(by) == told
    assert NodeReport("n", "completed", "edge", "", by).as_row().by == told


def test_json_holds_all_there_is_to_know() -> None:
    node = NodeReport("n", "completed", "cloud", "why", {"model": "m"}, 1, 2.5, {"completion_tokens": 3, "ms": 2}, up=10, down=20)
    failed = {"n": NodeError("it broke", retryable=False), "": ValueError("boom"), "l": UNREACHED}
    made = RunReport("r1", "failed", {"n": {"a": MISSING, "b": 1}}, failed, {"n": node})
    assert made.as_json() == {
        "run": "r1",
        "status": "failed",
        "results": {"n": {"b": 1}},
        "errors": {
            "n": {"code": "NODE_FAILED", "message": "it broke", "retryable": False},
            "": {"code": "NODE_FAILED", "message": "boom", "retryable": False},
            "l": {"code": "UNREACHABLE", "message": "the worker cannot be reached", "retryable": True},
        },
        "nodes": {
            "n": {
                "state": "completed",
                "place": "cloud",
                "reason": "why",
                "by": {"model": "m"},
                "retry": 1,
                "ms": 2.5,
                "usage": {"completion_tokens": 3, "ms": 2},
                "bytes": {"up": 10, "down": 20},
            }
        },
    }


def test_an_error_without_words_says_its_kind() -> None:
    assert RunReport("r", "failed", {}, {"n": KeyError()}, {}).as_json()["errors"]["n"]["message"] == "KeyError"


def test_a_row_of_the_table_shows_the_model_else_the_agent() -> None:
    row = NodeReport(
        "n", "completed", "edge", "why", {"agent": "llmAgent", "model": "m"}, 0, 1.0, {"completion_tokens": 7}
    ).as_row()
    assert (row.by, row.tokens, row.up, row.down) == ("m", 7, None, None)
    assert NodeReport("n", "completed", "edge", "why", {"agent": "copyAgent"}).as_row().by == "copyAgent"


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ({"a": "words"}, "words"),
        ({"a": {"text": "words", "more": 1}}, "words"),
        ({"a": {"text": 7}}, '{\n  "a": {\n    "text": 7\n  }\n}'),
        ({"a": "x", "b": "y"}, '{\n  "a": "x",\n  "b": "y"\n}'),
        ({}, "{}"),
    ],
)
def test_what_goes_to_stdout(results: dict[str, Any], text: str) -> None:
    assert result_text(results) == text
