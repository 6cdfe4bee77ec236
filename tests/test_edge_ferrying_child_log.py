"""What is said in a child run, as the worker would hear it. What comes of it: tests/test_edge_ferrying_delegate.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from delegated import GRAPH, Device, result, with_device
from graphs.engine.events import Outcome
from graphs.errors import LinkCondition
from graphs.journal import Journal
from graphs.records import Cancel, Close, Frame, Input, State, Submit


def test_the_order_and_the_values_on_the_edge_of_the_cut_are_all_that_is_said(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.tell(result("far", {"t": "there"}))
        await device.link.until(Input("off", State.COMPLETED, {"t": "there"}))
        device.tell(result("last", {"t": "back"}))

    device, state = with_device(tmp_path, play)
    submit, *rest = device.link.said
    assert (submit.frame, submit.inputs, submit.opts["parent"]) == ("", {}, [device.delegate.run, 1])
    assert rest == [Input("here", State.COMPLETED, {"t": "hi"}), Input("off", State.COMPLETED, {"t": "there"}), Close(None)]
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "back"}})
    assert device.link.forgotten
    assert device.delegate.log.sent["here"] > 0
    assert set(device.delegate.made) == {"far", "last"}


def test_a_skipped_boundary_node_sends_no_value_and_closes_all_the_same(tmp_path: Path) -> None:
    text = GRAPH.replace("off: {agent: copyAgent,", "off: {agent: copyAgent, unless: :far.t,")

    async def play(device: Device) -> None:
        await device.link.until(Input("here", State.COMPLETED, {"t": "hi"}))
        device.tell(result("far", {"t": "there"}))

    device, state = with_device(tmp_path, play, text)
    assert device.link.kinds() == ["Submit", "Input", "Close"]
    assert state == State.COMPLETED


def test_what_is_known_goes_along_with_the_order_and_is_not_said_again(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Close)
        device.tell(result("last", {"t": "back"}))

    device, state = with_device(tmp_path, play, known={"far": Outcome(State.COMPLETED, {"t": "kept"})})
    assert device.link.said[0].inputs["far"] == [State.COMPLETED, {"t": "kept"}]
    assert [record.path for record in device.link.said if isinstance(record, Input)] == ["here", "off"]
    assert state == State.COMPLETED


def test_what_may_not_go_there_at_all_opens_no_run(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        device.link.clear = False

    found: list[Device] = []

    async def main() -> None:
        with Journal.open(tmp_path / "journal.db") as journal:
            device = Device(journal, GRAPH, {})
            device.link.clear = False
            await device.runtime.run()
            await device.delegate.close()
            found.append(device)

    asyncio.run(main())
    assert found[0].waiting == {"far": "LABEL_WITHHELD"}
    assert found[0].link.said == []
    with Journal.open(tmp_path / "journal.db") as journal:
        assert journal.children(found[0].delegate.run) == []


def test_a_node_given_up_here_is_cancelled_there(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        start: Any = SimpleNamespace(path="far")
        device.delegate.stop(start)
        device.delegate.stop(start)
        device.runtime.abort("enough")

    device, state = with_device(tmp_path, play)
    assert device.link.said.count(Cancel(["far"], "given up by the holder")) == 1
    assert state == State.ABORTED


def test_a_run_that_is_over_before_the_worker_gives_up_its_nodes_there(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        device.runtime.abort("enough")

    device, _ = with_device(tmp_path, play)
    assert device.link.said[2:] == [Cancel(["far"], "given up by the holder"), Close(None)]
    assert device.link.flushed == 1


def test_a_child_run_stands_in_the_journal_before_it_is_opened(tmp_path: Path) -> None:
    async def main() -> Device:
        with Journal.open(tmp_path / "journal.db") as journal:
            device = Device(journal, GRAPH, {})
            device.link.refuse[""] = LinkCondition("RUN_DIVERGED", "no")
            await device.runtime.run()
            return device

    device = asyncio.run(main())
    assert device.waiting == {"far": "RUN_DIVERGED"}
    with Journal.open(tmp_path / "journal.db") as journal:
        assert len(journal.children(device.delegate.run)) == 1


def test_each_turn_of_a_loop_in_two_places_is_a_frame(tmp_path: Path) -> None:
    text = GRAPH.replace("nodes:", "loop: {count: 2}\nnodes:")

    async def play(device: Device) -> None:
        for turn in ("", "#1"):
            await device.link.until(Input(f"here{turn}", State.COMPLETED, {"t": "hi"}))
            device.tell(result(f"far{turn}", {"t": f"there{turn}"}))
            await device.link.until(Input(f"off{turn}", State.COMPLETED, {"t": f"there{turn}"}))
            device.tell(result(f"last{turn}", {"t": f"back{turn}"}))

    device, state = with_device(tmp_path, play, text, one_frame=False)
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "back#1"}})
    assert [record.frame for record in device.link.said if isinstance(record, (Submit, Frame))] == ["", "#1"]
    assert device.link.said[-1] == Close(None)
