"""A state machine over the bodies of a pair of sessions: wanted, damaged, withheld, half sent, and whoever dies in between.

Ranges and chunks are small here, so that a body takes many of them.
"""

from __future__ import annotations

import random
from unittest.mock import patch

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from graphs.errors import LinkCondition
from graphs.records import Input, Known, Result
from graphs.values import canonical
from protocol import bodies, codec
from protocol.events import BodyFailed, Faulted
from protocol.messages import BlobChunk, BlobNeed, Ref, RunId
from protocol.payload import Reference, references
from wire.pair import DEVICE, WORKER, Pair

SIDES = st.sampled_from([DEVICE, WORKER])
CHUNK, RANGE = 8 * 1024, 24 * 1024
SIZE = 150_000


def text(number: int) -> str:
    """A value that no other has a part of."""
    return random.Random(number).randbytes(SIZE // 2).hex()


class Bodies(RuleBasedStateMachine):
    """Every body that somebody wants arrives, once, and is what its name says; what is not cleared never leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.small = patch.multiple(bodies, CHUNK=CHUNK, RANGE=RANGE)
        self.small.start()
        self.cleared = True
        self.pair = Pair(device={"clear": lambda labels, peer: self.cleared})
        self.run: RunId = b""
        self.made: dict[Ref, tuple[str, Reference, bytes, bool]] = {}
        """By name: who has it, its reference, its bytes, whether it is labelled."""
        self.wanted: dict[str, dict[Ref, Reference]] = {DEVICE: {}, WORKER: {}}
        self.damaged: set[Ref] = set()
        self.read = {DEVICE: 0, WORKER: 0}
        self.looked = 0
        self.credit: dict[tuple[str, Ref], int] = {}
        """Bytes that were asked for on this connection and did not come yet, by who asked."""
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.run = self.pair.open()
        self.connect()
        self.talk(3)
        self.make(WORKER, False)
        self.make(DEVICE, True)
        self.talk(2)

    # -- work

    @rule(name=SIDES, labelled=st.booleans())
    def make(self, name: str, labelled: bool) -> None:
        if len(self.made) >= 4 or not self.pair.worker.records(self.run, DEVICE):
            return
        self.count += 1
        value = text(self.count)
        labels = ["pii"] if labelled and name == DEVICE else []
        side = self.pair.sides[name]
        record: Known = Input("a", 4, value) if name == DEVICE else Result("a", self.count, 0, value, 5, {})
        if labels and not self.cleared:
            with pytest.raises(LinkCondition, match="pii"):
                side.append(self.run, record, labels=labels)
            return
        side.append(self.run, record, labels=labels)
        (named,) = references(side.records(self.run, name)[-1])
        assert named.is_handle is bool(labels), "I18: a labelled value is named by its hash"
        self.made[named.ref] = name, named, canonical(value), bool(labels)

    @rule(which=st.integers(0, 3))
    def want(self, which: int) -> None:
        known = [each for each in self.made.values() if not self.wanted[self.other(each[0])].get(each[1].ref)]
        if which < len(known):
            reader = self.other(known[which][0])
            self.wanted[reader][known[which][1].ref] = known[which][1]
            self.pair.sides[reader].pull(known[which][1])
            self.look()

    @rule(which=st.integers(0, 3))
    def give_up(self, which: int) -> None:
        for reader, wanted in self.wanted.items():
            if which < len(wanted):
                ref = list(wanted)[which]
                del wanted[ref]
                self.pair.sides[reader].told(self.pair.sides[reader].conn.drop_body(ref))

    @rule(which=st.integers(0, 3))
    def damage(self, which: int) -> None:
        """A bit of a body turns over where it is kept."""
        if which < len(self.made):
            owner, named, body, _ = list(self.made.values())[which]
            if named.ref not in self.pair.sides[self.other(owner)].store.bodies:
                self.damaged.add(named.ref)
                self.pair.sides[owner].store.bodies[named.ref] = body[:-3] + b"!" + body[-2:]

    @rule(cleared=st.booleans())
    def decide(self, cleared: bool) -> None:
        self.cleared = cleared

    # -- the network, crashes

    @rule()
    def connect(self) -> None:
        self.credit.clear()
        self.pair.connect()
        self.look()

    @rule(lose=st.booleans())
    def drop(self, lose: bool) -> None:
        self.pair.drop(lose=lose)

    @rule(name=SIDES, count=st.integers(1, 6))
    def deliver(self, name: str, count: int) -> None:
        self.flush()
        self.pair.deliver(name, count)
        self.look()

    @rule(rounds=st.integers(1, 3))
    def talk(self, rounds: int) -> None:
        for _ in range(rounds):
            self.pair.now += 20
            self.pair.device.commit()
            self.pair.worker.commit()
            self.flush()
            self.pair.deliver(DEVICE)
            self.pair.deliver(WORKER)
            self.look()

    @rule(name=SIDES)
    def crash(self, name: str) -> None:
        self.look()
        self.pair.drop(lose=True)
        side = self.pair.sides[name]
        side.crash()
        self.read[name] = 0
        for named in self.wanted[name].values():
            side.pull(named)

    @rule(which=st.integers(0, 3), name=SIDES, count=st.integers(1, 8), dies=st.sampled_from([DEVICE, WORKER, ""]))
    def half(self, which: int, name: str, count: int, dies: str) -> None:
        """A body is on its way when somebody dies, or only the connection does."""
        self.make(name, False)
        self.talk(1)
        self.want(which)
        self.deliver(self.other(name), 9)
        self.deliver(name, count)
        if dies:
            self.crash(dies)
        self.connect()
        self.talk(1)

    @rule(count=st.integers(0, 4))
    def withdraw(self, count: int) -> None:
        """A labelled body is on its way when its reader is not cleared for it any more."""
        self.cleared = True
        self.make(DEVICE, True)
        self.talk(1)
        for which in range(4):
            self.want(which)
        self.deliver(WORKER, 9)
        self.deliver(DEVICE, count)
        self.cleared = False
        self.talk(1)

    def other(self, name: str) -> str:
        return WORKER if name == DEVICE else DEVICE

    # -- what is seen

    def flush(self) -> None:
        """As the pair does, looking at every packet that leaves."""
        for name, side in self.pair.sides.items():
            while self.pair.alive and (packet := side.conn.poll(self.pair.now, 0)) is not None:
                self.seen(name, packet)
                self.pair.wire[name].append((self.pair.number, packet))
                side.told(side.conn.events())

    def seen(self, name: str, packet: bytes) -> None:
        for message in codec.decode(packet):
            if isinstance(message, BlobNeed):
                for ref, start, length in message.ranges:
                    held = len(self.pair.sides[name].store.parts.get(ref, b""))
                    again = 1 if len(ref) == 16 else 0  # a handle's last byte comes with its checksum
                    assert start >= held - again, "a body is asked for from before what is here"
                    self.credit[name, ref] = self.credit.get((name, ref), 0) + length
            elif isinstance(message, BlobChunk):
                key = self.other(name), message.ref
                self.credit[key] = self.credit.get(key, 0) - len(message.data)
                assert self.credit[key] >= 0, "I9: more is on its way than was asked for"
                labelled = message.ref in self.made and self.made[message.ref][3]
                assert self.cleared or not labelled, "I18: bytes that are not cleared any more"

    def look(self) -> None:
        for name, side in self.pair.sides.items():
            events = side.events[self.read[name] :]
            self.read[name] = len(side.events)
            for event in events:
                if isinstance(event, BodyFailed) and event.ref in self.wanted[name]:
                    allowed = {"BLOB_GONE"} if event.ref in self.damaged else set()
                    allowed |= {"LABEL_WITHHELD"} if len(event.ref) == 16 else set()
                    assert event.code in allowed, f"a body that is there failed: {event}"
                    del self.wanted[name][event.ref]
                elif isinstance(event, Faulted):
                    assert event.close is None, f"I21: {name} was told {event}"

    @invariant()
    def whole_bodies_are_what_their_names_say(self) -> None:
        for ref, (owner, _, body, _) in self.made.items():
            reader = self.pair.sides[self.other(owner)].store
            if ref in reader.bodies:
                assert reader.bodies[ref] == body, "a body is not what its name says"
            if ref not in self.damaged:
                assert body.startswith(reader.parts.get(ref, b"")), "what is here of a body is not its beginning"

    @invariant()
    def memory_is_bounded(self) -> None:
        """I9."""
        for side in self.pair.sides.values():
            assert len(side.conn._state.gives.ready) <= 2 * RANGE // CHUNK, "I9: more is read than can be on its way"

    def teardown(self) -> None:
        try:
            self.converge()
        finally:
            self.small.stop()

    def converge(self) -> None:
        """I13: once the network stays up, what is wanted and there arrives."""
        self.cleared = True
        self.pair.drop(lose=True)
        self.connect()
        for _ in range(60):
            self.talk(1)
            if not any(self.pair.wire.values()) and not self.missing():
                break
        assert not self.missing(), "I13: a body did not arrive"
        self.whole_bodies_are_what_their_names_say()

    def missing(self) -> list[Ref]:
        return [
            ref
            for name, wanted in self.wanted.items()
            for ref in wanted
            if ref not in self.damaged and ref not in self.pair.sides[name].store.bodies
        ]
