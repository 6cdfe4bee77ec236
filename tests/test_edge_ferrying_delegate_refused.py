"""What becomes of nodes whose frame the gate refused, or that cannot start here."""

from __future__ import annotations

from pathlib import Path

import pytest

from delegated import Device, result, with_device
from edge.policies import Policy
from graphs.errors import LinkCondition
from graphs.records import Cancel, Frame, Start, State, Submit

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


def test_a_frame_that_cannot_start_here_is_given_up_there(tmp_path: Path) -> None:
    """There it may be able to, and would wait for orders for ever, and the run with it."""

    async def play(device: Device) -> None:
        await device.link.until(Start("far", 1))
        device.tell(result("far", 1))

    device, state = with_device(tmp_path, play, BROKEN, away=("far", "in/step"), demand=True, one_frame=False)
    assert state == State.FAILED
    assert [each.frame for each in device.link.said if isinstance(each, Frame)] == ["in/"]
    assert Cancel(["in/"], "given up by the holder") in device.link.said
