"""What is too large to go along with its record, and how it is said that it waits."""

from __future__ import annotations

import pytest

from edge.ferrying.held_back import HeldBack, needs_body
from edge.offline import Verdict, decide
from edge.policies import Policy
from edge.syncing.waiting import waits
from graphs.records import Close, Input, Known, State

DEEP: object = 0
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("record", "large"),
    [
        (Close(None), False),
        (Input("a", State.COMPLETED, {"t": "short"}), False),
        (Input("a", State.COMPLETED, "x" * 60_000), False),
        (Input("a", State.COMPLETED, "x" * 70_000), True),
        (Input("a", State.COMPLETED, [0] * 4_000), False),
        (Input("a", State.COMPLETED, [0] * 5_000), True),
        (Input("a", State.COMPLETED, DEEP), True),
    ],
)
def test_what_travels_beside_its_record_is_what_waits(record: Known, large: bool) -> None:
    assert needs_body(record) is large


@pytest.mark.parametrize("offline", ["wait", "local", "fail"])
def test_nothing_stands_in_for_a_value_that_waits_and_a_later_sync_goes_on(offline: str) -> None:
    held = HeldBack("ws://w", "the network is metered")
    assert decide(Policy(offline, alternative={}), held.condition, begun=True) is Verdict.WAIT  # type: ignore[arg-type]
    assert waits(held)
    assert "since the network is metered" in held.message
