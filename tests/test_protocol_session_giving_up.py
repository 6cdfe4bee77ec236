"""The session of a device whose run is given up: nothing begins at the worker because of an acknowledgement."""

from __future__ import annotations

import pytest

from graphs.records import Cancel, End, EndStatus
from protocol.events import Acked, Copied, Got, Synced
from wire.pair import DEVICE, WORKER, Pair, executing, result, running


def told_of(pair: Pair, run: bytes) -> int:
    """How much of its log the worker knows to be at the device."""
    return max((event.seq for event in pair.worker.seen(Acked) if event.run == run), default=0)


def test_what_may_begin_because_it_is_acknowledged_waits_until_the_worker_knows_that_the_run_is_given_up() -> None:
    pair, run = running()
    pair.worker.append(run, result("a"))
    pair.worker.append(run, executing("paid", effect="once"))
    pair.worker.append(run, result("b"))
    pair.flush(WORKER)  # on its way
    pair.device.append(run, Cancel(None, "it goes on elsewhere"))
    pair.deliver(WORKER)
    pair.device.commit()
    assert len(pair.device.records(run, WORKER)) == 3, "it is kept"
    pair.device.conn.append(run, Cancel(None, "once more"))
    pair.flush(DEVICE)
    while pair.wire[DEVICE]:
        pair.deliver(DEVICE, 1)
        assert told_of(pair, run) <= 1
    pair.worker.commit()
    assert pair.worker.seen(Got)[-1].record == Cancel(None, "it goes on elsewhere")
    pair.settle()
    assert told_of(pair, run) == 3


@pytest.mark.parametrize("dies", [True, False])
def test_the_next_connection_does_not_say_it_either(dies: bool) -> None:
    """HELLO is an acknowledgement."""
    pair, run = running()
    pair.worker.append(run, result("a"))
    pair.worker.append(run, executing("paid", effect="once"))
    pair.flush(WORKER)
    pair.device.append(run, Cancel(None, "it goes on elsewhere"))
    pair.deliver(WORKER)
    pair.device.commit()
    pair.drop(lose=True)
    if dies:
        pair.device.crash()
    assert told_of(pair, run) == 0
    pair.connect()
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    assert told_of(pair, run) == 1
    pair.settle()
    cancel = next(
        place for place, event in enumerate(pair.worker.events) if isinstance(event, Got) and isinstance(event.record, Cancel)
    )
    acked = next(place for place, event in enumerate(pair.worker.events) if isinstance(event, Acked) and event.seq == 2)
    assert cancel < acked


def test_a_worker_that_began_before_is_acknowledged_as_ever() -> None:
    pair, run = running()
    pair.worker.append(run, executing("paid", effect="once"))
    pair.settle()
    assert told_of(pair, run) == 1
    pair.device.append(run, Cancel(None, "it goes on elsewhere"))
    pair.worker.append(run, result("paid"))
    pair.settle()
    assert told_of(pair, run) == 2
    pair.worker.append(run, End(EndStatus.CANCELLED, 0, {}))
    pair.settle()
    assert told_of(pair, run) == 3


def test_nor_does_it_before_the_device_has_said_that_a_run_from_before_goes_on() -> None:
    pair, run = running(device={"reserved": True})
    pair.worker.append(run, executing("paid", effect="once"))
    pair.settle()
    assert told_of(pair, run) == 1, "it was opened on this connection"
    pair.worker.append(run, executing("sent", effect="once"))
    pair.flush(WORKER)
    pair.deliver(WORKER)
    pair.device.commit()
    pair.drop(lose=True)
    pair.device.crash()
    pair.connect()
    pair.worker.events.clear()
    pair.settle()
    assert told_of(pair, run) == 0
    pair.device.conn.release(run)
    pair.settle()
    assert told_of(pair, run) == 2


def test_a_worker_whose_disk_lost_that_the_run_was_given_up_does_not_begin_either() -> None:
    """It acknowledged the CANCEL, went back in time, and goes on with the run, which is done elsewhere by now."""
    pair, run = running()
    before = pair.worker.store.backup()
    pair.device.append(run, Cancel(None, "it goes on elsewhere"))
    pair.settle()
    assert pair.device.conn.delivered(run)
    pair.drop()
    pair.worker.store = before
    pair.worker.crash()
    pair.connect()
    pair.worker.append(run, executing("paid", effect="once"))
    pair.flush(DEVICE)
    pair.deliver(DEVICE)
    pair.flush(WORKER)
    pair.deliver(WORKER)
    pair.device.commit()
    assert len(pair.device.records(run, WORKER)) == 1
    pair.flush(DEVICE)
    pair.deliver(DEVICE)  # CANCEL is there, and not durable yet
    assert told_of(pair, run) == 0
    pair.settle()
    assert told_of(pair, run) == 1
    kinds = [type(event.record) if isinstance(event, Got) else type(event) for event in pair.worker.events]
    assert kinds.index(Cancel) < len(kinds) - 1 - kinds[::-1].index(Acked)


def test_a_run_that_goes_on_while_logs_are_compared_goes_on_as_itself() -> None:
    """Its records are reports, not copies: the device may hold more of its log than it has said."""
    pair, run = running()
    pair.worker.append(run, result("a"))
    pair.settle()
    pair.drop()
    pair.connect()
    pair.settle()
    pair.device.events.clear()
    pair.device.conn.copies.begin(pair.device.store.lines())
    pair.worker.append(run, result("b"))
    pair.settle()
    assert pair.device.seen(Copied) == []
    assert [event.record for event in pair.device.seen(Got)] == [result("b")]
    assert len(pair.device.seen(Synced)) == 1
    assert told_of(pair, run) == 2
