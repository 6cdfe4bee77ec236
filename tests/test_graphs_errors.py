"""The tree of errors: which kind is which, what they carry, and what they say."""

from __future__ import annotations

import inspect
import re

import pytest

from graphs import errors
from graphs.errors import (
    AnswerNeeded,
    ContextTooLong,
    GraphferryError,
    GraphInvalid,
    JournalError,
    LimitReached,
    LinkCondition,
    ModelCrashed,
    ModelMissing,
    ModelRefused,
    NodeError,
    NodeTimeout,
    Problem,
    RunAborted,
    RunFailed,
    RunSuspended,
    UsageError,
    WorkerNeeded,
    WorkerUnreachable,
)
from graphs.questions import Question

KINDS = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, GraphferryError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"(?:├──|└──) (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(each.__name__ for each in KINDS if each is not GraphferryError)
    assert set(errors.__all__) == {each.__name__ for each in KINDS} | {"Problem", "why_failed"}


def test_every_kind_has_a_code_of_its_own_but_for_link_conditions() -> None:
    codes = [each.code for each in KINDS if not issubclass(each, LinkCondition)]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[A-Z_]+", code) for code in codes)


def test_a_hint_is_a_line_of_its_own() -> None:
    assert str(UsageError("What happened.", hint="What to do.")) == "What happened.\nWhat to do."
    assert str(JournalError("Only this.")) == "Only this."


def test_what_a_node_does_is_apart_from_what_happens_to_it() -> None:
    own = {each for each in KINDS if issubclass(each, NodeError)}
    conditions = {each for each in KINDS if issubclass(each, LinkCondition)}
    assert own == {NodeError, NodeTimeout, LimitReached, ModelRefused, ContextTooLong, WorkerNeeded}
    assert conditions == {AnswerNeeded, LinkCondition, ModelCrashed, ModelMissing, WorkerUnreachable}


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (NodeError("x"), True),
        (NodeError("x", retryable=False), False),
        (NodeTimeout("x"), True),
        (ModelRefused("x"), False),
        (ContextTooLong("x"), False),
        (ModelCrashed("x"), True),
        (AnswerNeeded(Question("ask", 1, "text", "Well?")), True),
        (ModelMissing("x"), False),
        (WorkerUnreachable("ws://here", "x"), True),
        (RunSuspended("run", "BUSY", "x"), True),
        (UsageError("x"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_whether_the_same_order_may_succeed_later(error: GraphferryError, retryable: bool) -> None:
    assert error.retryable is retryable


def test_link_conditions_carry_their_code() -> None:
    assert ModelCrashed("x").condition == "MODEL_CRASHED"
    assert ModelMissing("x").condition == "MODEL_UNKNOWN"
    busy = LinkCondition("BUSY", "no place", retry_ms=500)
    assert (busy.condition, busy.retry_ms) == ("BUSY", 500)
    assert WorkerUnreachable("ws://here", "x").url == "ws://here"


def test_an_invalid_graph_says_all_its_errors_but_not_its_warnings() -> None:
    problems = [Problem("GF101", "first"), Problem("GF150", "only odd", warning=True), Problem("GF102", "second")]
    error = GraphInvalid(problems, file="g.yaml")
    assert str(error) == "first; second"
    assert error.problems == tuple(problems)
    assert str(GraphInvalid([])) == "invalid graph"


def test_errors_carry_copies_of_what_they_tell() -> None:
    results = {"a": 1}
    aborted = RunAborted("stopped", results)
    results["b"] = 2
    assert aborted.results == {"a": 1}
    detail = {"k": 1}
    failed = NodeError("x", detail=detail)
    detail["k"] = 2
    assert failed.detail == {"k": 1}


def test_a_failed_run_speaks_with_the_words_of_its_first_error() -> None:
    first = ValueError("no such file")
    failed = RunFailed("read", first, {"read": first, "other": KeyError("x")})
    assert str(failed) == "no such file"
    assert (failed.node, failed.error, set(failed.errors)) == ("read", first, {"read", "other"})
    assert str(RunFailed("read", ValueError(), {})) == "ValueError"
