from __future__ import annotations

from typing import Any

import pytest

from edge.ferrying.fallback import Fallback
from edge.policies import Policy
from engines import Driven
from graphs.engine.events import Failed, Instead, Suspend
from graphs.errors import LinkCondition, WorkerNeeded, WorkerUnreachable
from protocol.payload import blobref

GONE = WorkerUnreachable("ws://there", "the worker is gone", hint="Start it.")
LOCAL = Policy("local", {"agent": "work", "inputs": {"x": 1}}, once=False)


def event(policy: Policy | None, condition: LinkCondition = GONE, *, begun: bool = False, inputs: Any = None) -> Any:
    driven = Driven({"far": {"agent": "remote", "inputs": {"x": 1}}}, places={"far": "cloud"})
    start = driven.running["far"]
    if inputs is not None:
        start.inputs = inputs
    fallback = Fallback({"far": policy} if policy else {}, driven.engine.compiler.stand_in, lambda: 7.0)
    made = fallback.event(start, condition, begun=begun)
    assert (made.start, made.t) == (start, 7.0)
    return made


def test_a_node_without_a_policy_waits_for_the_condition_it_met() -> None:
    for policy in (None, Policy("wait")):
        made = event(policy, begun=True)
        assert isinstance(made, Suspend)
        assert made.error is GONE


def test_the_alternative_begins_and_its_reason_goes_with_it() -> None:
    made = event(LOCAL)
    assert isinstance(made, Instead)
    assert (made.node.degraded, made.node.stands_in, made.node.id) == ("unreachable", True, "far")


def test_what_is_computed_alike_is_not_called_less() -> None:
    made = event(Policy("local", {"agent": "work"}, degrades=False, once=False))
    assert isinstance(made, Instead)
    assert (made.node.degraded, made.node.stands_in) == (None, True)


def test_a_node_that_may_not_wait_fails_with_what_happened_and_what_to_do() -> None:
    made = event(Policy("fail", once=False))
    assert isinstance(made, Failed)
    assert isinstance(made.error, WorkerNeeded)
    assert "'far'" in str(made.error)
    assert "the worker is gone" in str(made.error)
    assert "--when-offline far=wait" in (made.error.hint or "")


@pytest.mark.parametrize("offline", ["local", "fail"])
def test_what_may_have_happened_and_must_not_twice_is_left_to_the_worker(offline: Any) -> None:
    made = event(Policy(offline, {"agent": "work"}), begun=True)
    assert isinstance(made, Suspend)
    assert isinstance(made.error, LinkCondition)
    assert (made.error.condition, "resume" in (made.error.hint or "")) == ("MAY_HAVE_BEGUN", True)


def test_a_node_without_an_alternative_waits_and_says_what_is_lacking() -> None:
    made = event(Policy("local", None, "this device has no model 'tiny'", once=False))
    assert isinstance(made, Suspend)
    assert isinstance(made.error, LinkCondition)
    assert (made.error.condition, made.error.hint) == ("UNREACHABLE", "Start it.")
    assert "the worker is gone; nothing can run here instead of node 'far': this device has no model 'tiny'" in made.error.message


def test_a_value_that_is_still_at_the_worker_cannot_be_read_here() -> None:
    made = event(LOCAL, inputs={"x": [blobref(bytes(32), 1_000_000)]})
    assert isinstance(made, Suspend)
    assert "a value that it reads is still at the worker" in str(made.error)


def test_what_no_policy_is_about_waits_with_its_own_words() -> None:
    invalid = LinkCondition("GRAPH_INVALID", "not this")
    assert event(LOCAL, invalid).error is invalid


def test_a_free_node_says_that_it_was_moved_and_its_values_are_not_fetched_for_that() -> None:
    work = {"agent": "work", "inputs": {"x": 1}}
    free = Policy("local", work, degrades=False, once=False, free=True)
    made = event(free, LinkCondition("BUSY", "the worker is full"))
    assert isinstance(made, Instead)
    assert (made.node.degraded, made.node.moved) == (None, "worker busy")
    driven = Driven({"far": {"agent": "remote"}}, places={"far": "cloud"})
    assert not Fallback({"far": free}, driven.engine.compiler.stand_in, lambda: 7.0).has_alternative("far")


def test_what_the_worker_cannot_do_after_all_runs_here_if_it_was_there_by_choice() -> None:
    free = Policy("local", {"agent": "work", "inputs": {"x": 1}}, degrades=False, once=False, free=True)
    made = event(free, LinkCondition("MODEL_UNKNOWN", "the worker has no such model"))
    assert isinstance(made, Instead)
    assert made.node.moved == "model unknown to the worker"
    assert isinstance(event(LOCAL, LinkCondition("MODEL_UNKNOWN", "the worker has no such model")), Suspend)


WITHHELD = LinkCondition("LABEL_WITHHELD", "it carries private", retryable=False)


def test_what_the_link_withholds_runs_here_as_the_very_node_it_is() -> None:
    made = event(Policy("wait", once=False, here={"agent": "work", "inputs": {"x": 1}}), WITHHELD)
    assert isinstance(made, Instead)
    assert (made.node.degraded, made.node.same, made.node.id) == (None, True, "far")


def test_it_waits_where_it_cannot_or_may_have_happened() -> None:
    here = {"agent": "work", "inputs": {"x": 1}}
    for policy, more in (
        (Policy("wait", once=False), {}),
        (Policy("wait", once=True, here=here), {"begun": True}),
        (Policy("wait", once=False, here=here), {"inputs": {"x": blobref(bytes(32), 9)}}),
    ):
        made = event(policy, WITHHELD, **more)
        assert isinstance(made, Suspend)
        assert isinstance(made.error, LinkCondition)
        assert made.error.condition == "LABEL_WITHHELD"
