"""What a link notices of itself."""

from __future__ import annotations

import pytest

from protocol.bodies import RANGE
from protocol.meter import LEAST_BYTES, Meter

REF = b"r" * 32


def test_answers_and_bodies_are_measured_and_small_bodies_are_not() -> None:
    meter = Meter()
    meter.answered(0.02)
    meter.pulled(LEAST_BYTES - 1, 0.001)
    meter.pulled(1_000_000, 0.5)
    meter.pulled(1_000_000, 0.0)
    assert (meter.answers, meter.down) == ([0.02], [2_000_000.0])


def test_of_a_body_that_is_given_counts_what_the_peer_has_for_sure() -> None:
    meter = Meter()
    for number in range(9):
        meter.asked(REF, number * RANGE, 10.0 + number)
    assert meter.up == [pytest.approx(5 * RANGE / 8)]
    meter.asked(REF, 0, 50.0)
    assert meter.up == [], "it is asked for anew"
    meter.asked(b"o" * 32, 4 * RANGE, 51.0)
    assert meter.up == [], "nobody knows when that one was begun"


def test_no_more_is_remembered_than_is_of_use() -> None:
    meter = Meter()
    for number in range(1_000):
        meter.pulled(1_000_000, 1.0)
        meter.asked(number.to_bytes(32, "big"), 0, 1.0)
        meter.asked(number.to_bytes(32, "big"), 8 * RANGE, 2.0)
    assert len(meter.down) == len(meter.up) == 64
