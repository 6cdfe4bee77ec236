"""What becomes of nodes whose frame the gate refused, or that cannot start here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from delegated import Device, error, result, with_device
from edge.ferrying.attached import Attached
from edge.policies import Policy
from graphs.errors import LinkCondition
from graphs.journal.ids import new_run_id
from graphs.records import Frame, Start, State, Submit

LOOP_INSIDE = """\
version: 0.5
nodes:
  far: {agent: copyAgent, inputs: {t: 1}}
  in:
    agent: nestedAgent
    inputs: {t: :far.t}
    isResult: true
    graph:
      version: 0.5
      loop: {count: 3}
      nodes:
        step: {agent: copyAgent, inputs: {t: :t}, isResult: true}
"""


@pytest.mark.parametrize("gate", [True, False])
def test_the_turns_of_a_loop_whose_frame_was_refused_do_not_wait_for_it(tmp_path: Path, gate: bool) -> None:
    """A loop that is whole at the worker has one frame: the later turns took it for open there, and nobody ever told them anything."""
    here = {"agent": "copyAgent", "inputs": {"t": ":t"}, "params": {}}

    async def play(device: Device) -> None:
        await device.link.until(Submit)
        device.link.clear = not gate
        device.link.refuse[""] = LinkCondition("LABEL_WITHHELD", "no", retryable=False)
        device.tell(result("far", {"t": 1}))

    policy = Policy("local", None, degrades=False, once=False, free=True, here=here)
    device, state = with_device(
        tmp_path, play, LOOP_INSIDE, policies={"in/step": policy}, away=("far", "in/step"), one_frame=False
    )
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"in": {"step": {"t": 1}}})


def test_a_loop_that_breaks_at_the_worker_in_a_later_turn_is_not_waited_for(tmp_path: Path) -> None:
    here = {"agent": "copyAgent", "inputs": {"t": ":t"}, "params": {}}

    async def play(device: Device) -> None:
        await device.link.until(Submit)
        device.tell(result("far", {"t": 1}))
        await device.link.until(Frame)
        device.tell(result("in/step", {"t": 1}))
        while "in/step#1" not in device.delegate._expected:  # noqa: ASYNC110 - the delegate tells nobody
            await asyncio.sleep(0)
        device.tell(error("in/", "VALUE_TOO_LARGE"))

    for policy, expected, waiting in (
        (Policy("local", here, once=False), State.COMPLETED, {}),
        (Policy("wait", None, once=False), State.SUSPENDED, {"in/step#1": "VALUE_TOO_LARGE"}),
    ):
        away = ("far", "in/step")
        policies = {"in/step": policy}
        device, state = with_device(tmp_path / policy.offline, play, LOOP_INSIDE, policies=policies, away=away, one_frame=False)
        assert (state, device.waiting) == (expected, waiting)


BROKEN = """\
version: 0.5
nodes:
  text: {value: {}}
  far: {agent: copyAgent, inputs: {t: :text}}
  in:
    agent: nestedAgent
    isResult: true
    inputs: {s: :text.gone}
    graph:
      nodes:
        s: {}
        step: {agent: copyAgent, isResult: true, inputs: {t: ":s.default(7)"}}
"""


def test_a_frame_that_cannot_start_here_is_not_shipped(tmp_path: Path) -> None:
    """There it may be able to, and would wait for orders for ever, and the run with it."""

    async def play(device: Device) -> None:
        await device.link.until(Start("far", 1))
        device.tell(result("far", 1))

    device, state = with_device(tmp_path, play, BROKEN, away=("far", "in/step"), demand=True, one_frame=False)
    assert state == State.FAILED
    assert "Frame" not in device.link.kinds()


TWO = """\
version: 0.5
nodes:
  far: {agent: copyAgent, inputs: {t: 1}}
  in:
    agent: nestedAgent
    inputs: {t: 2}
    graph: {nodes: {step: {agent: copyAgent, isResult: true, inputs: {t: ":t"}}}}
  off: {agent: copyAgent, inputs: {t: 3}}
"""


@pytest.mark.parametrize("frames", [["", "in/"], ["in/"]])
def test_nothing_more_is_said_in_a_child_run_that_was_ended_as_its_nodes_are_placed_otherwise_now(
    tmp_path: Path, frames: list[str]
) -> None:
    """What was said after the end waited at the worker for ever, and this side for it."""

    async def play(_: Device) -> None: ...

    attached = Attached(new_run_id(), frames=dict.fromkeys(frames, bytes(32)), in_flight={"far"}, told={"in/t"})
    away = ("far", "in/step")
    device, state = with_device(tmp_path, play, TWO, away=away, demand=True, one_frame=False, attached=attached)
    assert (state, device.waiting) == (State.SUSPENDED, {"far": "RUN_CHANGED", "in/step": "RUN_CHANGED"})
    assert device.runtime.engine.results()["off"] == {"t": 3}
    assert device.link.kinds()[-1] == "Cancel"
    assert device.link.kinds().count("Cancel") == 1
    assert device.link.forgotten
