from __future__ import annotations

from dataclasses import replace

import pytest

from edge.offline import DEADLINE, Reason, Verdict, concerns, decide, moved_by, reason_of, too_near
from edge.placing.facts import Offline
from edge.policies import Policy


def policy(offline: Offline, *, has: bool = True, once: bool = False) -> Policy:
    return Policy(offline, {"agent": "copyAgent"} if has else None, "" if has else "there is none", once=once)


@pytest.mark.parametrize(
    ("said", "condition", "begun", "verdict"),
    [
        (policy("wait"), "UNREACHABLE", False, Verdict.WAIT),
        (policy("wait", once=True), "UNREACHABLE", True, Verdict.WAIT),
        (policy("local"), "UNREACHABLE", False, Verdict.LOCAL),
        (policy("local"), "UNREACHABLE", True, Verdict.LOCAL),
        (policy("local", once=True), "UNREACHABLE", False, Verdict.LOCAL),
        (policy("local", once=True), "UNREACHABLE", True, Verdict.ASK),
        (policy("local", has=False), "UNREACHABLE", False, Verdict.WAIT),
        (policy("local", has=False, once=True), "UNREACHABLE", True, Verdict.ASK),
        (policy("local"), "BUSY", False, Verdict.LOCAL),
        (policy("local"), DEADLINE, False, Verdict.LOCAL),
        (policy("local"), "VALUE_TOO_LARGE", False, Verdict.LOCAL),
        (policy("local"), "QUOTA", False, Verdict.LOCAL),
        (policy("local"), "GRAPH_INVALID", False, Verdict.WAIT),
        (policy("local"), "LABEL_WITHHELD", False, Verdict.WAIT),
        (policy("local"), "RUN_DIVERGED", True, Verdict.WAIT),
        (policy("local"), "A_CODE_OF_LATER", False, Verdict.WAIT),
        (policy("fail"), "UNREACHABLE", False, Verdict.FAIL),
        (policy("fail", has=False), "UNREACHABLE", False, Verdict.FAIL),
        (policy("fail", once=True), "UNREACHABLE", False, Verdict.FAIL),
        (policy("fail", once=True), "UNREACHABLE", True, Verdict.ASK),
        (policy("fail"), "MODEL_UNKNOWN", False, Verdict.WAIT),
    ],
)
def test_what_becomes_of_a_node(said: Policy, condition: str, begun: bool, verdict: Verdict) -> None:
    assert decide(said, condition, begun=begun) is verdict


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("UNREACHABLE", "unreachable"),
        ("DRAINING", "unreachable"),
        ("MODEL_OVERLOADED", "unreachable"),
        (DEADLINE, "deadline"),
        ("QUOTA", "budget"),
        ("BUDGET_EXCEEDED", "budget"),
        ("VALUE_TOO_LARGE", "too large"),
        ("AGENT_UNKNOWN", None),
        ("NODE_INDETERMINATE", None),
    ],
)
def test_what_a_condition_means_to_a_policy(condition: str, reason: Reason | None) -> None:
    assert reason_of(condition) == reason


@pytest.mark.parametrize(
    ("now", "grace", "deadline", "near"),
    [
        (0.0, 10.0, None, False),
        (0.0, 10.0, 60.0, False),
        (55.0, 10.0, 60.0, True),
        (50.0, 10.0, 60.0, True),
        (61.0, 0.0, 60.0, True),
    ],
)
def test_a_connection_is_not_waited_for_beyond_the_deadline(now: float, grace: float, deadline: float | None, near: bool) -> None:
    assert too_near(now, grace, deadline) is near


def test_what_moves_a_free_node_is_said_in_words() -> None:
    assert moved_by("BUSY") == "worker busy"
    assert moved_by("UNREACHABLE") == moved_by("ANYTHING") == "worker unreachable"
    assert moved_by("MODEL_UNKNOWN") == "model unknown to the worker"


def test_what_a_worker_refuses_runs_here_if_it_was_there_by_choice() -> None:
    free = Policy("local", {"agent": "work"}, degrades=False, once=False, free=True)
    for condition in ("AGENT_UNKNOWN", "MODEL_UNKNOWN", "GRAPH_INVALID"):
        assert decide(free, condition, begun=False) is Verdict.LOCAL
        assert decide(replace(free, free=False), condition, begun=False) is Verdict.WAIT
        assert (concerns(free, condition), concerns(replace(free, free=False), condition)) == (True, False)
    assert decide(free, "VALUE_AWAY", begun=False) is Verdict.WAIT
