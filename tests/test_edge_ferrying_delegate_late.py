"""A worker's large value, which is still to come, and what the worker made from it: the device may have got another value meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from delegated import Device, error, result, with_device
from edge.policies import Policy
from graphs.errors import LinkCondition
from graphs.records import Cancel, Record, State, Submit
from graphs.values import Value
from protocol.intake import Intake
from protocol.payload import Reference, blobref, resolve

LOST = LinkCondition("UNREACHABLE", "lost")
GRAPH = """\
version: 0.5
nodes:
  here: {value: hi}
  far: {agent: copyAgent, inputs: {t: :here}}
  last: {agent: copyAgent, inputs: {t: :far.t}}
  near: {agent: copyAgent, isResult: true, inputs: {far: :far.t, last: :last.t}}
"""
HERE = Policy("local", {"agent": "copyAgent", "inputs": {"t": ":here"}, "params": {}}, once=False)
AFTER = Policy("local", {"agent": "copyAgent", "inputs": {"t": ":far.t"}, "params": {}}, once=False)


class Slow:
    """Bodies that come when the test says so."""

    def __init__(self) -> None:
        self.value: asyncio.Future[Value] = asyncio.get_running_loop().create_future()

    async def resolved(self, _run: bytes, record: Record, those: Sequence[Reference]) -> Record:
        return resolve(record, {named.ref: await self.value for named in those})


class Comes:
    """What the worker says of the run comes to the device as over a link."""

    def __init__(self, device: Device) -> None:
        self.bodies = Slow()
        delegate = device.delegate
        bodies: Any = self.bodies
        self.intake = Intake(
            bodies,
            lambda _run, record, size: delegate.got(record, size),
            lambda _run, record, condition: delegate.lacks(record, condition),
            lambda _run, record: delegate.reads(record),
            lambda _run, record, earlier: delegate.follows(record, earlier),
        )
        self.child = delegate.log.child
        link: Any = device.link
        link.forget = self.intake.forget

    def take(self, *records: Record) -> None:
        for record in records:
            self.intake.take(self.child, record)

    async def body(self, found: Value | LinkCondition) -> None:
        if isinstance(found, LinkCondition):
            self.bodies.value.set_exception(found)
        else:
            self.bodies.value.set_result(found)
        for _ in range(5):
            await asyncio.sleep(0)


LARGE = blobref(b"far".ljust(32, b"."), 70_000)


@pytest.mark.parametrize("comes", [{"t": "there"}, LinkCondition("BLOB_GONE", "lost")], ids=["comes", "is lost"])
@pytest.mark.parametrize("last", [result("last", {"t": "there"}), error("last", "NODE_FAILED")], ids=["result", "failure"])
@pytest.mark.parametrize("policies", [{"far": HERE}, {"far": HERE, "last": AFTER}], ids=["one", "both"])
def test_nobody_reads_one_value_and_what_was_made_from_another(
    tmp_path: Path, policies: Mapping[str, Policy], last: Record, comes: Any
) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit)
        worker = Comes(device)
        worker.take(result("far", LARGE), last)
        device.delegate.away(LOST)
        await device.ran("far")  # the alternative
        device.delegate.back()
        await worker.body(comes)

    device, state = with_device(tmp_path, play, GRAPH, policies=policies)
    results = device.runtime.engine.results()
    assert results["far"] == {"t": "hi"}
    assert "near" not in results or results["near"] == {"far": "hi", "last": "hi"}
    assert (state == State.COMPLETED) is ("last" in policies)
    if "last" not in policies:
        assert device.waiting.keys() == {"last"}
    assert device.runtime.engine.errors() == {}


def test_what_comes_in_time_is_told_in_order(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit)
        worker = Comes(device)
        worker.take(result("far", LARGE), result("last", {"t": "there"}))
        await worker.body({"t": "there"})

    device, state = with_device(tmp_path, play, GRAPH, policies={"far": HERE})
    assert (state, device.runtime.engine.results()["near"]) == (State.COMPLETED, {"far": "there", "last": "there"})
    assert Cancel not in map(type, device.link.said)
