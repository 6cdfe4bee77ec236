"""Sessions of a device (docs/protocol.md §21): each rule of the handshake, of resume, of streams, and each fault, seen from the device."""

from __future__ import annotations

from collections.abc import Callable

from graphs.records import Close, End, Error, Event, Input, Result, Start, State, Submit, chain, encode
from protocol.handshake import Status
from wire.pair import GRAPH, GRAPH_HASH
from wire.session_script import DEVICE, WORKER, Script, entry, hello, log, run_id, welcome

__all__ = ["SESSIONS"]

SUBMIT = Submit("", GRAPH_HASH, {}, {"parent": [bytes(16), 1]})
INPUT = Input("outline", State.COMPLETED, {"text": "x"})
CLOSE = Close(None)
DRAFT = Result("draft", 1, 0, {"text": "d"}, 5, {"model": "large"})
BEGUN = Event("final", 1, State.EXECUTING, 5, {"retry": 0})
FINAL = Result("final", 1, 0, {"text": "The tide rises."}, 5, {"model": "large"})
END = End(0, 5, {})


def chk(*records: Submit | Input | Close | Result | Event | Start | End) -> int:
    """The checksum of a log that holds these records."""
    found = 0
    for record in records:
        found = chain(found, record.TYPE, encode(record).tail)
    return found


def said(writer: bytes, have: int, checksum: int, status: Status = Status.OK) -> list[object]:
    """A log in WELCOME."""
    return [run_id(), writer, have, checksum, int(status)]


def nested(levels: int) -> object:
    """Lists in lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def greeted(script: Script, **more: object) -> Script:
    return script.connect(1).poll().recv(welcome(**more)).expect()


def running(script: Script) -> Script:
    """One run whose SUBMIT the worker holds."""
    return greeted(script).append(SUBMIT).commit().poll().recv([5, 1, 1]).expect()


def reading(script: Script) -> Script:
    """A run whose log the worker has begun to send."""
    return running(script).recv(log(1, WORKER), entry(1, 1, DRAFT)).commit().after()


def streaming(script: Script) -> Script:
    """A run with an attempt that has said two tokens."""
    return running(script).recv(log(1, WORKER), entry(1, 1, BEGUN)).commit().recv([56, 1, 1, 0, ["The", " tide"]]).after()


def copied(script: Script) -> Script:
    """A log of another device, which the worker had."""
    return (
        running(script)
        .call("sync")
        .poll()
        .recv([0x44, 1, True, [[run_id(9), b"device-2", 1, chk(DRAFT)]], False])
        .after()
        .recv([6, 1, run_id(9), b"device-2", 1, {"name": "trip.yaml"}], entry(1, 1, DRAFT))
        .after()
        .commit()
    )


def back(script: Script, *logs: list[object], number: int = 2) -> Script:
    """A new connection, and what the worker says it holds."""
    return script.drop().connect(number).poll().recv(welcome(*logs))


SESSIONS: dict[str, Callable[[Script], object]] = {
    "device: handshake": lambda s: s.connect(1).poll().expect().recv(welcome(offer={"queue": 3})).after(),
    "device: a new run goes along with HELLO": lambda s: (
        s.call("put_graph", h=GRAPH_HASH, body=GRAPH).append(SUBMIT).commit().connect(1).poll()
    ),
    "device: nothing leaves before it is durable": lambda s: greeted(s).append(SUBMIT).poll().commit().poll(),
    "device: an ACK is told": lambda s: greeted(s).append(SUBMIT).commit().poll().recv([5, 1, 1]).after(),
    "device: a result is acknowledged and told once it is durable": lambda s: (
        running(s).recv(log(1, WORKER), entry(1, 1, DRAFT)).after().commit().after()
    ),
    "device: a record that comes twice counts once": lambda s: reading(s).recv(entry(1, 1, DRAFT)).commit().after(),
    "device: a gap closes with 4400": lambda s: reading(s).recv(entry(1, 3, END)).after(),
    "device: a LOG that leaves records out closes with 4400": lambda s: running(s).recv(log(1, WORKER, 2)).after(),
    "device: a record of an alias that was never announced": lambda s: running(s).recv(entry(9, 1, DRAFT)).after(),
    "device: a worker writes no orders": lambda s: reading(s).recv(entry(1, 2, Start("a", 1))).after(),
    "device: nothing comes after END": lambda s: reading(s).recv(entry(1, 2, END), entry(1, 3, DRAFT)).after(),
    "device: a log of a third store is not taken": lambda s: (
        running(s).recv(log(1, b"worker-9"), entry(1, 1, DRAFT)).commit().after()
    ),
    "device: a run it does not know is not taken": lambda s: greeted(s).recv(log(1, WORKER), entry(1, 1, DRAFT)).commit().after(),
    "device: WELCOME must answer every log": lambda s: back(running(s), said(WORKER, 0, 0)).after(),
    "device: a second WELCOME": lambda s: greeted(s).recv(welcome()).after(),
    "device: HELLO goes the other way": lambda s: greeted(s).recv(hello()).after(),
    "device: no common version closes with 4426": lambda s: s.connect(1).poll().recv(welcome(v=9)).after(),
    "device: a WELCOME with a heartbeat of a day": lambda s: s.connect(1).poll().recv(welcome(hb_ms=86_400_000)).after(),
    "device: bytes of an older connection are ignored": lambda s: (
        reading(s).drop().connect(2).poll().recv(entry(1, 2, END), conn=1).commit().after()
    ),
    "device: resume, INPUT and CLOSE were lost": lambda s: back(
        running(s).append(INPUT).append(CLOSE).commit().poll(), said(DEVICE, 1, chk(SUBMIT))
    ).after(),
    "device: resume, only the ACK was lost": lambda s: back(
        running(s).append(INPUT).commit().poll(), said(DEVICE, 2, chk(SUBMIT, INPUT))
    ).after(),
    "device: resume, the worker has more": lambda s: (
        back(reading(s), said(DEVICE, 1, chk(SUBMIT)), said(WORKER, 2, chk(DRAFT, END)))
        .recv(log(1, WORKER, 2), entry(1, 2, END))
        .commit()
        .after()
    ),
    "device: resume after a crash, from what is durable": lambda s: (
        reading(s)
        .append(INPUT)
        .crash()
        .connect(2)
        .poll()
        .recv(welcome(said(DEVICE, 1, chk(SUBMIT)), said(WORKER, 1, chk(DRAFT))))
        .append(CLOSE)
        .commit()
        .after()
    ),
    "device: resume, the worker's store went back behind what it had acknowledged": lambda s: back(
        running(s).append(INPUT).commit().poll().recv([5, 1, 2]), said(DEVICE, 1, chk(SUBMIT))
    ).after(),
    "device: resume, SUBMIT itself is unknown": lambda s: back(running(s), said(DEVICE, 0, 0, Status.UNKNOWN)).after(),
    "device: resume, another checksum is another history": lambda s: (
        back(reading(s), said(DEVICE, 1, chk(SUBMIT)), said(WORKER, 1, 12_345)).append(CLOSE).after()
    ),
    "device: resume, the writer itself has less": lambda s: back(
        reading(s), said(DEVICE, 1, chk(SUBMIT)), said(WORKER, 0, 0)
    ).after(),
    "device: resume, the worker says diverged": lambda s: (
        back(running(s), said(DEVICE, 1, chk(SUBMIT), Status.DIVERGED)).append(CLOSE).after()
    ),
    "device: resume, only a tombstone is left": lambda s: (
        back(running(s), said(DEVICE, 0, 0, Status.EXPIRED)).append(CLOSE).after()
    ),
    "device: resume, a later session of the device has the run": lambda s: (
        back(running(s), said(DEVICE, 0, 0, Status.TAKEN)).append(CLOSE).after()
    ),
    "device: a later session of the device takes the run": lambda s: (
        reading(s).recv([8, "RUN_TAKEN", "another process has it", False, [run_id(), DEVICE]]).append(CLOSE).after()
    ),
    "device: a run that another session of the device began": lambda s: (
        greeted(s).append(SUBMIT).commit().poll().recv([8, "RUN_TAKEN", "another process has it", False, 1]).append(CLOSE).after()
    ),
    "device: resume, another store never gets the run": lambda s: (
        running(s).drop().connect(2).poll().recv(welcome(store=b"worker-2")).append(CLOSE).after()
    ),
    "device: a finished run is named once more, then forgotten": lambda s: back(
        back(reading(s).recv(entry(1, 2, END)).commit().after(), said(DEVICE, 1, chk(SUBMIT)), said(WORKER, 2, chk(DRAFT, END))),
        number=3,
    ).after(),
    "device: tokens arrive in order": lambda s: streaming(s).recv([56, 1, 1, 2, [" rises."]]).after(),
    "device: tokens seen before are cut off": lambda s: streaming(s).recv([56, 1, 1, 1, [" tide", " rises."]]).after(),
    "device: tokens beyond a gap wait for the catch-up": lambda s: streaming(s).recv([56, 1, 1, 5, ["lost"]]).after(),
    "device: HELLO says how much is shown, the catch-up goes on from there": lambda s: (
        back(streaming(s), said(DEVICE, 1, chk(SUBMIT)), said(WORKER, 1, chk(BEGUN)))
        .recv(log(1, WORKER, 2), [56, 1, 1, 2, [" rises and falls"], 3], [56, 1, 1, 5, ["."]])
        .after()
    ),
    "device: a newer attempt drops the older text": lambda s: (
        streaming(s)
        .recv(entry(1, 2, Event("final", 2, State.EXECUTING, 6, {"retry": 1})), [56, 1, 1, 2, ["old"]], [56, 1, 2, 0, ["new"]])
        .commit()
        .after()
    ),
    "device: no partial text after the result": lambda s: (
        streaming(s).recv(entry(1, 2, FINAL), [56, 1, 1, 2, [" rises."]]).commit().after()
    ),
    "device: a failed attempt ends its text": lambda s: (
        streaming(s)
        .recv(entry(1, 2, Error("final", 1, 0, "NODE_FAILED", "no", False, True)), [56, 1, 1, 2, ["x"]])
        .commit()
        .after()
    ),
    "device: BUSY, offered again later": lambda s: (
        greeted(s)
        .append(SUBMIT)
        .commit()
        .poll()
        .recv([8, "BUSY", "full", False, 1, 1_000])
        .after()
        .tick(999)
        .poll()
        .tick(1)
        .poll()
    ),
    "device: GOAWAY keeps new runs for the next connection": lambda s: (
        greeted(s).recv([7, "restart", 5_000, 1_000]).append(SUBMIT).commit().after().drop().connect(2).poll()
    ),
    "device: the worker asks for the graph": lambda s: (
        s.call("put_graph", h=GRAPH_HASH, body=GRAPH).connect(1).poll().recv(welcome(), [17, GRAPH_HASH, 1]).after()
    ),
    "device: a graph it has no body of": lambda s: greeted(s).recv([17, GRAPH_HASH, 1]).after(),
    "device: a graph the worker has is not sent again": lambda s: (
        greeted(s).call("put_graph", h=GRAPH_HASH, body=GRAPH).poll().recv([17, GRAPH_HASH, 0]).after().drop().connect(2).poll()
    ),
    "device: a value that is too large for a record travels beside it": lambda s: (
        running(s).append(Input("a", State.COMPLETED, nested(35))).commit().after()
    ),
    "device: a label nobody cleared is refused before it is a record": lambda s: (
        running(s).append(INPUT, labels=["private"]).commit().after()
    ),
    "device: it writes no reports": lambda s: running(s).append(DRAFT).after(),
    "device: an ACK of what was never sent": lambda s: running(s).recv([5, 1, 2]).after(),
    "device: a state, and an offer": lambda s: (
        running(s).recv(log(1, WORKER), [57, 1, "draft", 1, 2, 5], [10, {"queue": 1}]).after()
    ),
    "device: PING is answered": lambda s: greeted(s).recv([3, 7, 123]).after(),
    "device: silence, first PINGs, then 4408": lambda s: greeted(s).tick(15_000).after().tick(15_000).poll().tick(7_500).after(),
    "device: after sleep a PING at once, and three seconds for an answer": lambda s: (
        greeted(s).tick(60_000).after().tick(3_000).after()
    ),
    "device: nothing at all for five seconds": lambda s: s.connect(1).poll().tick(5_000).after(),
    "device: what may be skipped is skipped, what may not is refused": lambda s: (
        greeted(s).recv([0x60, 1], [0x3F], [0x50, 1]).after()
    ),
    "device: a record of a later version is kept": lambda s: reading(s).recv([0x36, 1, 2, "later", {"x": 1.5}]).commit().after(),
    "device: bytes that are no envelope": lambda s: greeted(s).recv_bytes(b"\xc1").after(),
    "device: a digest asks for what the worker has": lambda s: copied(s).after(),
    "device: a digest gives what the worker lacks": lambda s: (
        copied(s)
        .expect()
        .call("sync")
        .poll()
        .recv([0x44, 2, True, [[run_id(9), b"device-2", 0, 0]], False])
        .after()
        .recv([5, 2, 1])
        .after()
    ),
    "device: a log that the worker does not take holds up nothing": lambda s: (
        copied(s)
        .expect()
        .call("sync")
        .poll()
        .recv([0x44, 2, True, [[run_id(9), b"device-2", 0, 0]], False])
        .after()
        .recv([8, "QUOTA", "no room", False, 2])
        .after()
    ),
    "device: a fault ends the connection": lambda s: greeted(s).recv([8, "AUTH_EXPIRED", "the token ended", True]).after(),
}
