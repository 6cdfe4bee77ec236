"""Sessions of a worker (docs/protocol.md §21): each rule of the handshake, of resume, of streams, and each fault, seen from the worker."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from graphs.records import Cancel, Event, Start, State
from wire.device_sessions import BEGUN, CLOSE, DRAFT, END, FINAL, INPUT, SUBMIT, chk
from wire.pair import GRAPH, GRAPH_HASH
from wire.session_script import DEVICE, WORKER, Script, entry, hello, log, run_id, welcome

__all__ = ["SESSIONS"]


def greeted(script: Script, *logs: list[object], number: int = 1) -> Script:
    return script.connect(number).recv(hello(number, *logs)).poll().expect()


def running(script: Script) -> Script:
    """One run whose SUBMIT is durable here."""
    return greeted(script).recv(log(1, DEVICE), entry(1, 1, SUBMIT)).commit().expect().poll()


def streaming(script: Script) -> Script:
    """A run with an attempt that has said two tokens."""
    return (
        running(script)
        .append(BEGUN)
        .commit()
        .poll()
        .call("delta", run=run_id(), start=1, tokens=["The", " tide"])
        .tick(10)
        .poll()
    )


def back(script: Script, *logs: list[object], number: int = 2) -> Script:
    """The device comes again and says what it holds."""
    return script.drop().connect(number).recv(hello(number, *logs)).after()


def has(writer: bytes, have: int, checksum: int, *shown: list[int]) -> list[object]:
    """A log in HELLO."""
    return [run_id(), writer, have, checksum, *([list(shown)] if shown else [])]


SESSIONS: dict[str, Callable[[Script], object]] = {
    "worker: handshake": lambda s: s.connect(1).recv(hello(agent="x/1", caps=["later"])).after(),
    "worker: SUBMIT in the packet of HELLO": lambda s: (
        s.connect(1).recv(hello(), log(1, DEVICE), entry(1, 1, SUBMIT)).after().commit().after()
    ),
    "worker: an older connection is fenced": lambda s: (
        s.connect(7).recv(hello(7)).poll().call("fence", number=7).call("fence", number=6).call("fence", number=8)
    ),
    "worker: HELLO of another device": lambda s: s.connect(1).recv([1, {**hello()[1], "device": b"x" * 16}]).after(),
    "worker: HELLO with another number": lambda s: s.connect(1).recv(hello(2)).after(),
    "worker: HELLO without its store": lambda s: (
        s.connect(1).recv([1, {key: value for key, value in hello()[1].items() if key != "store"}]).after()
    ),
    "worker: no common version closes with 4426": lambda s: s.connect(1).recv([1, {**hello()[1], "v": [2, 3]}]).after(),
    "worker: limits below what everybody must take": lambda s: (
        s.connect(1).recv([1, {**hello()[1], "limits": {"packet": 100_000}}]).after()
    ),
    "worker: nothing comes before HELLO": lambda s: s.connect(1).recv([3, 1, 1]).after(),
    "worker: a second HELLO": lambda s: greeted(s).recv(hello()).after(),
    "worker: WELCOME goes the other way": lambda s: greeted(s).recv(welcome()).after(),
    "worker: a log it does not know": lambda s: s.connect(1).recv(hello(1, has(DEVICE, 1, chk(SUBMIT)))).after(),
    "worker: a tombstone": lambda s: s.connect(1).recv(hello(1, has(DEVICE, 1, chk(SUBMIT)))).after(),
    "worker: a run of a tombstone is not taken again": lambda s: (
        greeted(s).recv(log(1, DEVICE), entry(1, 1, SUBMIT)).commit().after()
    ),
    "worker: acknowledged and told once durable": lambda s: (
        greeted(s).recv(log(1, DEVICE), entry(1, 1, SUBMIT)).after().commit().after()
    ),
    "worker: one ACK for what one commit made durable": lambda s: (
        running(s).recv(entry(1, 2, INPUT), entry(1, 3, CLOSE)).commit().after()
    ),
    "worker: reports, END last": lambda s: (
        running(s).append(DRAFT).append(END).append(FINAL).poll().commit().poll().recv([5, 1, 2]).commit().after()
    ),
    "worker: SUBMIT is first": lambda s: greeted(s).recv(log(1, DEVICE), entry(1, 1, INPUT)).after(),
    "worker: SUBMIT is first only": lambda s: running(s).recv(entry(1, 2, SUBMIT)).after(),
    "worker: a device writes no reports": lambda s: running(s).recv(entry(1, 2, DRAFT)).after(),
    "worker: a gap closes with 4400": lambda s: running(s).recv(entry(1, 4, CLOSE)).after(),
    "worker: a log of a third store is not taken": lambda s: (
        greeted(s).recv(log(1, b"device-9"), entry(1, 1, SUBMIT)).commit().after()
    ),
    "worker: an ACK of what was never sent": lambda s: running(s).append(DRAFT).commit().poll().recv([5, 1, 2]).after(),
    "worker: an ACK of an alias it never gave": lambda s: running(s).recv([5, 9, 1]).after(),
    "worker: more than the window": lambda s: (
        running(s).recv(*(entry(1, number, Start("a", 1)) for number in range(2, 7))).after()
    ),
    "worker: a cancel after END is stored and changes nothing": lambda s: (
        running(s).append(END).commit().poll().recv(entry(1, 2, Cancel(None, "user"))).commit().after()
    ),
    "worker: no free place": lambda s: greeted(s).recv(log(1, DEVICE), entry(1, 1, SUBMIT)).commit().after(),
    "worker: draining": lambda s: (
        running(s)
        .call("drain", reason="restart", drain_ms=2_000, retry_ms=5_000)
        .poll()
        .recv(log(2, DEVICE, 1, run_id(2)))
        .after()
        .tick(2_000)
        .after()
    ),
    "worker: resume, the result was lost": lambda s: back(
        running(s).append(DRAFT).append(FINAL).commit().poll(),
        has(DEVICE, 1, chk(SUBMIT)),
        has(WORKER, 1, chk(DRAFT)),
    ),
    "worker: resume, everything arrived": lambda s: back(
        running(s).append(DRAFT).commit().poll(), has(DEVICE, 1, chk(SUBMIT)), has(WORKER, 1, chk(DRAFT))
    ),
    "worker: resume, the device has nothing of its log yet": lambda s: back(
        running(s).append(DRAFT).commit().poll(), has(DEVICE, 1, chk(SUBMIT))
    ),
    "worker: resume after a crash, from what is durable": lambda s: (
        running(s)
        .append(DRAFT)
        .commit()
        .append(FINAL)
        .crash()
        .connect(2)
        .recv(hello(2, has(DEVICE, 1, chk(SUBMIT))))
        .after()
        .append(END)
        .commit()
        .after()
    ),
    "worker: resume, the device's log went on": lambda s: (
        back(running(s), has(DEVICE, 3, chk(SUBMIT, INPUT, CLOSE))).recv(log(1, DEVICE, 2), entry(1, 2, INPUT)).commit().after()
    ),
    "worker: resume, the device's store went back": lambda s: back(running(s), has(DEVICE, 0, 0)),
    "worker: resume, another checksum is another history": lambda s: back(
        running(s).append(DRAFT).commit().poll(), has(DEVICE, 1, chk(SUBMIT)), has(WORKER, 1, 12_345)
    ).append(END),
    "worker: tokens leave at once, then every 10 ms": lambda s: (
        streaming(s).call("delta", run=run_id(), start=1, tokens=[" rises"]).poll().tick(10).poll()
    ),
    "worker: pending tokens leave before the result": lambda s: (
        streaming(s).call("delta", run=run_id(), start=1, tokens=[" rises", "."]).append(FINAL).commit().poll()
    ),
    "worker: tokens of an attempt that is over are dropped": lambda s: (
        streaming(s).append(FINAL).commit().poll().call("delta", run=run_id(), start=1, tokens=["late"]).tick(10).poll()
    ),
    "worker: one catch-up closes the gap": lambda s: back(
        streaming(s).call("delta", run=run_id(), start=1, tokens=[" rises", " and", " falls"]),
        has(DEVICE, 1, chk(SUBMIT)),
        has(WORKER, 1, chk(BEGUN), [1, 2]),
    ),
    "worker: the result stands for the tokens that were lost": lambda s: back(
        streaming(s).call("delta", run=run_id(), start=1, tokens=[" rises."]).append(FINAL).commit(),
        has(DEVICE, 1, chk(SUBMIT)),
        has(WORKER, 1, chk(BEGUN), [1, 2]),
    ),
    "worker: tokens of a labelled attempt stay": lambda s: (
        running(s)
        .append(Event("final", 1, State.EXECUTING, 5, {"retry": 0, "labels": ["private"]}))
        .commit()
        .poll()
        .call("delta", run=run_id(), start=1, tokens=["secret"])
        .tick(10)
        .poll()
    ),
    "worker: states are for showing": lambda s: (
        running(s).call("state", run=run_id(), path="draft", at=1, state=2, t=5).tick(10).poll()
    ),
    "worker: a graph": lambda s: greeted(s).recv([16, GRAPH_HASH, 0, GRAPH, len(GRAPH)]).after(),
    "worker: a graph, compressed": lambda s: greeted(s).recv([16, GRAPH_HASH, 1, zlib.compress(GRAPH, 1), len(GRAPH)]).after(),
    "worker: a graph under a wrong name": lambda s: greeted(s).recv([16, bytes(32), 0, GRAPH, len(GRAPH)]).after(),
    "worker: a graph that inflates to more than it says": lambda s: (
        greeted(s).recv([16, GRAPH_HASH, 1, zlib.compress(bytes(1_000_000), 1), 100]).after()
    ),
    "worker: a graph it misses is asked for on every connection": lambda s: (
        running(s)
        .call("graph_state", h=GRAPH_HASH, status=1)
        .poll()
        .drop()
        .connect(2)
        .recv(hello(2, has(DEVICE, 1, chk(SUBMIT))))
        .after()
    ),
    "worker: an offer once a second": lambda s: (
        greeted(s).call("offer", offer={"queue": 2}).poll().call("offer", offer={"queue": 1}).poll().tick(1_000).poll()
    ),
    "worker: retention begins when the device holds END": lambda s: (
        running(s).append(END).commit().poll().recv([5, 1, 1]).commit().drop().connect(2).recv(hello(2)).after()
    ),
    "worker: silence closes with 4408": lambda s: greeted(s).tick(15_000).poll().tick(15_000).poll().tick(7_500).after(),
    "worker: a run that a later session takes, and what still comes of it": lambda s: (
        running(s)
        .append(DRAFT)
        .commit()
        .poll()
        .recv(entry(1, 2, INPUT))
        .call("part", run=run_id())
        .after()
        .recv(entry(1, 3, CLOSE), [5, 1, 1])
        .commit()
        .after()
    ),
    "worker: a run that a later session took is named in HELLO": lambda s: back(
        running(s).call("part", run=run_id()), has(DEVICE, 1, chk(SUBMIT))
    ),
    "worker: a run that a later session took is announced": lambda s: (
        running(s).call("part", run=run_id()).poll().recv(log(2, DEVICE), entry(2, 1, SUBMIT)).commit().after()
    ),
    "worker: a digest, answered with what is lacked": lambda s: (
        greeted(s)
        .recv([0x44, 1, False, [[run_id(9), DEVICE, 2, chk(SUBMIT, DRAFT)]], False])
        .after()
        .recv([6, 1, run_id(9), DEVICE, 1, {"name": "trip.yaml"}], entry(1, 1, SUBMIT), entry(1, 2, DRAFT))
        .after()
        .commit()
        .after()
    ),
    "worker: a digest, answered with what is here": lambda s: (
        running(s)
        .append(DRAFT)
        .commit()
        .poll()
        .recv([5, 1, 1], [0x44, 4, False, [], False])
        .after()
        .recv([0x44, 4, True, [[run_id(), WORKER, 0, 0]], False])
        .after()
    ),
    "worker: a digest that contradicts": lambda s: running(s).recv([0x44, 2, False, [[run_id(), DEVICE, 1, 99]], False]).after(),
    "worker: a digest that is not in order": lambda s: (
        greeted(s).recv([0x44, 2, False, [[run_id(2), DEVICE, 1, 99], [run_id(1), DEVICE, 1, 99]], False]).after()
    ),
    "worker: a type that is not built": lambda s: greeted(s).recv([0x45, 1]).after(),
}

GIVEN: dict[str, dict[str, object]] = {
    "worker: a tombstone": {"expired": [run_id().hex()]},
    "worker: a run of a tombstone is not taken again": {"expired": [run_id().hex()]},
    "worker: more than the window": {"config": {"limits": {"window": 4}}},
    "worker: no free place": {"config": {"offer": {"queue": 0}}},
}
"""What is different for some of them."""
