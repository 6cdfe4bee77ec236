from __future__ import annotations

import random

import pytest

from graphs.models.openai.sse import MAX_EVENT, EventStream, SseError

STREAM = ": hi\ndata: one\n\nevent: x\r\ndata:two\r\ndata: grüß 🦆\r\n\r\nid: 7\r\rdata\r\rdata: three\r\r\ndata: rest"


def fed(*pieces: bytes) -> list[str]:
    stream = EventStream()
    return [data for piece in pieces for data in stream.feed(piece)]


def test_lines_end_in_three_ways_and_only_data_counts() -> None:
    assert fed(STREAM.encode()) == ["one", "two\ngrüß 🦆", "", "three"]


def test_it_does_not_matter_where_the_stream_is_cut() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    data = STREAM.encode()
    whole = fed(data)
    assert fed(*(bytes([byte]) for byte in data)) == whole
    for _ in range(200):
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(6)))
        assert fed(*(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))) == whole


def test_an_event_that_is_never_whole_gives_nothing() -> None:
    assert fed(b"data: a") == []
    assert fed(b"data: a\n") == []
    assert fed(b"\n\n\n") == []


@pytest.mark.parametrize("filler", [b"data: " + b"x" * 1000 + b"\n", b"x" * 1000, b"data: x"])
def test_no_event_is_kept_beyond_its_bound(filler: bytes) -> None:
    fed_bytes = 0

    def feed_on() -> None:
        nonlocal fed_bytes
        stream = EventStream()
        while fed_bytes < 3 * MAX_EVENT:
            fed_bytes += len(filler)
            assert list(stream.feed(filler)) == []

    with pytest.raises(SseError, match="one event has more than"):
        feed_on()
    assert fed_bytes <= 2 * MAX_EVENT


def test_other_bytes_are_no_stream() -> None:
    with pytest.raises(SseError, match="UTF-8"):
        fed(b"data: \xff\n")
