"""How much of what comes is taken, without a clock: who sends too much waits, who comes too often is told when, others notice nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from cloud.accounts import Account
from cloud.rates import BURST_SECONDS, KNOWN, OWED_SECONDS, Peers, Rates, address_key
from protocol.pacing import Bucket

ALICE = Account("alice", rate=1000, device_rate=400, connects=60)
LAPTOP, PHONE, TABLET = (bytes([each]) * 16 for each in (1, 2, 3))
BURST = int(400 * BURST_SECONDS)


def test_a_device_that_sends_more_than_its_rate_waits_for_what_it_owes() -> None:
    pace = Rates().pace(ALICE, LAPTOP)
    assert pace.take(0, BURST) == 0
    assert pace.take(0, 200) == 0.5
    assert pace.take(0.5, 400) == 1
    assert pace.take(1_000, BURST) == 0, "what was not used is there later"


def test_connections_of_one_device_share_its_rate_and_a_new_one_brings_no_new_allowance() -> None:
    rates = Rates()
    assert rates.pace(ALICE, LAPTOP).take(0, BURST) == 0
    assert rates.pace(ALICE, LAPTOP).take(0, 400) == 1
    assert rates.pace(ALICE, PHONE).take(0, BURST) == 0


def test_devices_of_one_account_share_its_rate_and_other_accounts_do_not() -> None:
    rates = Rates()
    for device in (LAPTOP, PHONE):
        assert rates.pace(ALICE, device).take(0, BURST) == 0
    assert rates.pace(ALICE, TABLET).take(0, BURST) == pytest.approx(3 * BURST / 1000 - BURST_SECONDS)
    assert rates.pace(Account("bob", rate=1000, device_rate=400), TABLET).take(0, BURST) == 0


@given(st.lists(st.integers(1, 10**9), max_size=30))
def test_nobody_waits_so_long_that_his_peer_would_take_him_for_dead(sizes: list[int]) -> None:
    pace = Rates().pace(ALICE, LAPTOP)
    assert all(pace.take(0, size) <= OWED_SECONDS for size in sizes)


def test_a_device_that_connects_too_often_is_told_when_it_may_and_then_it_may() -> None:
    rates = Rates()
    assert all(rates.hello(0, ALICE, LAPTOP, "10.0.0.1") == 0 for _ in range(60))
    assert [rates.hello(0, ALICE, LAPTOP, "10.0.0.1") for _ in range(1000)] == [1] * 1000, "to ask costs nothing"
    assert rates.hello(1, ALICE, LAPTOP, "10.0.0.1") == 0


def test_whoever_uses_a_devices_name_elsewhere_does_not_keep_it_out() -> None:
    rates = Rates()
    assert rates.hello(0, ALICE, LAPTOP, "10.0.0.1") == 0
    assert max(rates.hello(0, ALICE, LAPTOP, "10.6.6.6") for _ in range(100)) > 0
    assert rates.hello(0, ALICE, LAPTOP, "10.0.0.1") == 0


def test_whoever_thinks_of_ever_new_devices_keeps_out_none_that_is_known_at_the_same_address() -> None:
    rates = Rates()
    assert rates.hello(0, ALICE, LAPTOP, "10.0.0.1") == 0
    waits = [rates.hello(0, ALICE, number.to_bytes(16, "big"), "10.0.0.1") for number in range(10, 200)]
    assert waits[:59] == [0] * 59
    assert set(waits[59:]) == {1}
    assert rates.hello(0, ALICE, LAPTOP, "10.0.0.1") == 0
    assert rates.hello(0, ALICE, PHONE, "10.0.0.2") == 0


def test_messages_count_as_well_as_their_bytes_and_the_longer_wait_counts() -> None:
    alice = Account("alice", rate=10**6, device_rate=10**6, messages=1000, device_messages=400)
    rates = Rates()
    pace = rates.pace(alice, LAPTOP)
    assert pace.take(0, 100, int(400 * BURST_SECONDS)) == 0
    assert pace.take(0, 4, 200) == 0.5
    assert rates.pace(alice, PHONE).take(0, 100, int(400 * BURST_SECONDS)) == 0


def test_attempts_to_pair_are_counted_by_address_and_all_together() -> None:
    rates = Rates()
    waits = [rates.pairing(0, "10.0.0.1") for _ in range(30)]
    assert waits[:20] == [0] * 20
    assert set(waits[20:]) == {3}
    assert rates.pairing(0, "10.0.0.2") == 0, "one attacker keeps nobody else out"
    several = [rates.pairing(0, f"10.1.{number >> 8}.{number & 255}") for number in range(1000)]
    assert several.count(0) == 600 - 21
    assert rates.pairing(1, "10.0.0.3") == 0


def test_wrong_tokens_are_counted_by_address() -> None:
    rates = Rates()
    waits = [rates.wrong(0, "10.0.0.1") for _ in range(30)]
    assert waits[:20] == [0] * 20
    assert set(waits[20:]) == {3}
    assert rates.wrong(0, "10.0.0.2") == 0
    assert rates.wrong(3, "10.0.0.1") == 0


def test_what_is_kept_of_peers_is_bounded_and_who_came_last_is_kept() -> None:
    peers = Peers(lambda: Bucket(1, 2), most=3)
    kept = peers.of("often")
    for number in range(1000):
        peers.of(number)
        assert peers.of("often") is kept
    assert len(peers) == 3
    rates = Rates(most=5)
    for number in range(100):
        rates.wrong(number, f"10.0.0.{number}")
        rates.hello(number, ALICE, number.to_bytes(16, "big"), f"10.0.1.{number}")
        rates.pace(ALICE, number.to_bytes(16, "big"))
    own = rates._accounts["alice"]
    assert [len(each) for each in (rates._wrong, own.hellos, own.new, own.devices)] == [5] * 4
    assert KNOWN >= 1000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "somewhere", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same
