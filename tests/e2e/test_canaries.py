"""No labelled value that is not cleared leaves the device, in whatever form: a few hundred random graphs here, ten thousand by `make canaries`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from unittest.mock import patch

import pytest

from canaries.planted import Canary
from canaries.play import Leak, Tally, play, playground
from protocol.payload import _body

SEED = random.randrange(10**9)


def played(seeds: Iterable[int], *, broken: bool = False) -> Tally:
    async def main() -> Tally:
        async with playground() as ground:
            return await play(ground, seeds, broken=broken)

    return asyncio.run(main())


def test_no_canary_is_on_the_wire() -> None:
    print(f"seeds from {SEED}")
    tally = played(range(SEED, SEED + 200))
    assert tally.secret > 100
    assert tally.shown > 0, "what is cleared does travel, and is found"
    assert tally.bytes > 0


def test_a_placement_that_sends_everything_away_leaks_nothing_either() -> None:
    print(f"seeds from {SEED + 10_000}, placement broken")
    tally = played(range(SEED + 10_000, SEED + 10_100), broken=True)
    assert tally.withheld > 10
    assert tally.replaced > 10, "what the gate cut off ran on the device"


# -- what the test is worth


def test_without_the_gate_they_are_found() -> None:
    with patch("edge.ferrying.worker.WorkerLink._may_send", lambda *_args: True), pytest.raises(Leak, match="was on the wire"):
        played(range(50), broken=True)


def test_a_labelled_value_named_by_its_hash_is_found() -> None:
    def by_hash(value: object, _labels: object, handle: bytes) -> object:
        return _body(value, (), handle)

    with patch("protocol.payload._body", by_hash), pytest.raises(Leak, match="named by its hash"):
        played(range(100))


def test_all_forms_of_a_canary_are_looked_for() -> None:
    forms = list(Canary("abcdefghijklmnopqrstuvwx", frozenset({"amber"})).forms())
    assert {b"abcdefgh", b"qrstuvwx", b"6162636465666768696a6b6c6d6e6f707172737475767778"} <= set(forms)
    assert b"ZGVmZ2hpamtsbW5vcHFyc3R1" in forms
    assert len(forms) == len(set(forms))
