"""What becomes of nodes that wait for the worker when it is reached again, while the run goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from delegated import GRAPH, Device, error, result, with_device
from edge.policies import Policy
from graphs.errors import LinkCondition
from graphs.records import Input, Start, State

LOST = LinkCondition("UNREACHABLE", "lost")
HERE = Policy("local", {"agent": "copyAgent", "inputs": {"t": ":here.t"}, "params": {}}, once=False)


@pytest.mark.parametrize("demand", [False, True])
def test_what_waits_goes_out_when_the_worker_is_back(tmp_path: Path, demand: bool) -> None:
    """It is expected again, and one that starts on order is ordered once."""
    slow = GRAPH + "  slow: {agent: sleeperAgent, params: {duration: 60000}}\n"

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)
        while "last" not in device.waiting:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        assert device.waiting == {"last": "UNREACHABLE"}
        device.delegate.back()
        assert device.waiting == {}
        if demand:
            await device.link.until(Start("last", 1))
        device.tell(result("last", {"t": "there"}))
        device.runtime.abort()

    device, _ = with_device(tmp_path, play, slow, policies={"far": HERE}, demand=demand)
    assert device.runtime.engine.results()["last"] == {"t": "there"}
    assert [record for record in device.link.said if isinstance(record, Start)] == (
        [Start("far", 1), Start("last", 1)] if demand else []
    )


def test_one_that_failed_while_the_worker_was_away_still_waits_when_it_is_back(tmp_path: Path) -> None:
    """Nobody would tell of it a second time."""
    slow = GRAPH + "  slow: {agent: sleeperAgent, params: {duration: 60000}}\n"

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.delegate.away(LOST)
        device.tell(error("far", "NODE_FAILED"))
        device.delegate.back()
        assert device.waiting == {"far": "UNREACHABLE"}
        device.runtime.abort()

    with_device(tmp_path, play, slow)
