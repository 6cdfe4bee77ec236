"""So many bytes a second: pieces that leave when the bucket says so never come to more."""

from __future__ import annotations

from hypothesis import given, strategies as st

from protocol.pacing import Bucket


def test_what_is_in_the_bucket_leaves_at_once_and_the_rest_at_the_rate() -> None:
    bucket = Bucket(rate=100, burst=50)
    assert [bucket.take(0, 50), bucket.take(0, 10), bucket.take(0, 10)] == [0, 0.1, 0.2]


def test_what_was_not_used_is_there_later_but_not_more_than_the_bucket_holds() -> None:
    bucket = Bucket(rate=100, burst=50)
    assert bucket.take(0, 50) == 0
    assert bucket.take(0.25, 25) == 0
    assert bucket.take(1_000, 60) == 0.1


def test_a_piece_larger_than_the_bucket_waits_for_what_it_lacks() -> None:
    assert Bucket(rate=10, burst=5).take(7, 105) == 10


def test_more_than_is_remembered_is_not_owed() -> None:
    bucket = Bucket(rate=10, burst=5, owed=50)
    assert [bucket.take(0, 1_000) for _ in range(3)] == [5, 5, 5]
    assert bucket.take(5, 5) == 0.5


def test_who_asks_first_takes_nothing_that_is_not_there() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.allow(0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert bucket.allow(0.5) == 0, "who comes back when he was told to is let in"
    assert bucket.allow(0.5) == 0.5


pieces = st.lists(st.tuples(st.floats(0, 10), st.integers(1, 1_000)), min_size=1, max_size=50)


@given(pieces, st.integers(1, 500), st.integers(1, 500))
def test_over_any_time_no_more_leaves_than_the_rate_allows(steps: list[tuple[float, int]], rate: int, burst: int) -> None:
    bucket, now, left = Bucket(rate, burst), 0.0, list[tuple[float, int]]()
    for pause, size in steps:
        now += pause
        now += bucket.take(now, size)  # who takes waits, and takes no other piece meanwhile
        left.append((now, size))
    for first, (begin, _) in enumerate(left):
        total = 0
        for end, size in left[first:]:
            total += size
            largest = max(size for _, size in left[first:])
            assert total <= burst + rate * (end - begin) + largest + 1e-6 * total
