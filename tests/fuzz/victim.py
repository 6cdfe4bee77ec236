"""A session under attack: what must hold whatever it is sent."""

from __future__ import annotations

from graphs.records import Submit, chain
from protocol import codec
from protocol.errors import RemoteProtocolError
from protocol.messages import RunId
from protocol.replay import split
from wire.pair import DEVICE, STORES, WORKER, Pair, executing, result, run_id

__all__ = ["STATES", "Victim", "attack"]

STATES = ("fresh", "greeted", "running", "streaming", "ended")


class Victim:
    """One end of a link whose other end turns hostile in some state."""

    def __init__(self, role: str, state: str) -> None:
        self.pair = _pair(state)
        self.role = role
        self.side = self.pair.sides[role]
        self.own = self._own_logs()

    def feed(self, packet: bytes) -> None:
        """The peer sends this; everything the session wants is done. Raises whatever the session raises."""
        pair, side = self.pair, self.side
        pair.now += 7
        side.told(side.conn.receive(pair.now, packet, pair.number))
        side.commit()
        side.told(side.conn.tick(pair.now))
        self.drain()
        if side.conn.closing is not None:
            pair.drop(lose=True)
            pair.connect()
            self.drain()

    def drain(self) -> None:
        """Take what it sends: within limits, and readable."""
        while (said := self.side.conn.poll(self.pair.now, 0)) is not None:
            assert len(said) <= codec.MAX_PACKET
            try:
                codec.decode(said)
            except RemoteProtocolError as error:
                raise AssertionError(f"it sent what it would not take itself: {error}, {split(said)}") from error

    def check(self) -> None:
        """What no peer can change: own records, whole checksums; and a peer that behaves again gets its work done."""
        for key, before in self.own.items():
            assert self.side.store.logs[key][: len(before)] == before, "an own record changed"
        for log in self.side.store.logs.values():
            chk = 0
            for record, kept in log:
                chk = chain(chk, record.type, record.tail)
                assert chk == kept
        self._work()

    def _own_logs(self) -> dict[tuple[RunId, bytes], list[object]]:
        return {key: list(log) for key, log in self.side.store.logs.items() if key[1] == STORES[self.role]}

    def _work(self) -> None:
        pair = self.pair
        pair.drop(lose=True)
        pair.worker.crash()
        pair.device.crash()
        pair.now += 10_000
        pair.connect()
        pair.settle()
        run = run_id(1_000)
        pair.device.append(run, Submit("", bytes(32), {}, {}))
        pair.settle()
        pair.worker.append(run, result("a"))
        pair.settle()
        assert pair.device.records(run, WORKER) == [result("a")]


def _pair(state: str) -> Pair:
    pair = Pair()
    pair.connect()
    if state == "fresh":
        return pair
    pair.settle()
    if state == "greeted":
        return pair
    run = pair.open(1)
    pair.settle()
    pair.worker.append(run, result("a"))
    start = pair.worker.append(run, executing("final"))
    pair.settle()
    if state == "streaming":
        pair.worker.conn.delta(run, start, ["The", " tide"])
        pair.settle()
    if state == "ended":
        from graphs.records import End

        pair.worker.append(run, End(0, 5, {}))
        pair.settle()
    return pair


def attack(role: str, state: str, packets: list[bytes]) -> Victim:
    """A victim that was sent these."""
    assert role in (DEVICE, WORKER)
    victim = Victim(role, state)
    for packet in packets:
        victim.feed(packet)
    return victim
