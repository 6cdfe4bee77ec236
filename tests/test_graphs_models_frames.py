from __future__ import annotations

import asyncio
import io
import random
import struct
from typing import Any

import pytest

from graphs.models import frames


def receive_all(data: bytes) -> list[dict[str, Any]]:
    async def main() -> list[dict[str, Any]]:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        got = []
        while (frame := await frames.receive(stream)) is not None:
            got.append(frame)
        return got

    return asyncio.run(main())


def read_all(data: bytes) -> list[dict[str, Any]]:
    stream, got = io.BytesIO(data), []
    while (frame := frames.read(stream)) is not None:
        got.append(frame)
    return got


def test_both_readers_read_what_was_packed() -> None:
    messages: list[dict[str, Any]] = [
        {"t": "token", "id": 1, "text": "größe 🦆"},
        {"t": "done", "raw": b"\x00\xff", "nothing": None, "x": [1.5, -2]},
    ]
    data = b"".join(frames.pack(message) for message in messages)
    assert read_all(data) == messages
    assert receive_all(data) == messages


@pytest.mark.parametrize("reader", [read_all, receive_all])
def test_every_cut_inside_a_frame_is_an_error_and_none_between_frames(reader: Any) -> None:
    frame = frames.pack({"t": "cancel", "id": 300})
    assert reader(b"") == []
    for cut in range(1, len(frame)):
        with pytest.raises(frames.FrameError, match="ended inside"):
            reader(frame + frame[:cut])


@pytest.mark.parametrize("reader", [read_all, receive_all])
@pytest.mark.parametrize("body", [b"\xc1", b"\x93\x01\x02\x03", b"\x01", b"\x81\xa1a"])
def test_bodies_that_are_no_map_are_refused(reader: Any, body: bytes) -> None:
    with pytest.raises(frames.FrameError):
        reader(struct.pack(">I", len(body)) + body)


@pytest.mark.parametrize("reader", [read_all, receive_all])
def test_an_announced_length_above_the_cap_is_refused_before_anything_is_read(reader: Any) -> None:
    with pytest.raises(frames.FrameError, match=str(frames.MAX_FRAME)):
        reader(struct.pack(">I", frames.MAX_FRAME + 1))


def test_what_is_too_long_or_no_data_is_not_packed() -> None:
    with pytest.raises(frames.FrameError, match="more than"):
        frames.pack({"text": "x" * frames.MAX_FRAME})
    with pytest.raises(frames.FrameError, match="cannot be written"):
        frames.pack({"text": object()})
    with pytest.raises(frames.FrameError, match="cannot be written"):
        frames.pack({"text": 1 << 70})


def test_random_bytes_end_in_a_frame_error_or_in_maps() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(300):
        data = struct.pack(">I", source.randrange(40)) + source.randbytes(40)
        try:
            assert all(isinstance(frame, dict) for frame in read_all(data))
        except frames.FrameError:
            pass
