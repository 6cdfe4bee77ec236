"""Frames: how a model's child process and its parent talk over a pipe.

A frame is four bytes of length, big-endian, and one msgpack map. The length is bounded in both directions, so that a broken peer
costs no memory: whoever sees a longer one, or anything that is not a map, ends the conversation.
"""

from __future__ import annotations

import struct
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import msgpack

__all__ = ["MAX_FRAME", "FrameError", "pack", "read", "receive"]

MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes the body of a frame may have: far above any prompt that fits a model's context."""

_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """Bytes that are no frame: too long, cut short, or not a map. The pipe is of no use afterwards."""


def pack(message: Mapping[str, Any]) -> bytes:
    """The bytes of a frame. Raises FrameError if it is longer than MAX_FRAME or holds what msgpack cannot write."""
    try:
        body: bytes = msgpack.packb(message, use_bin_type=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"cannot be written: {error}") from error
    if len(body) > MAX_FRAME:
        raise FrameError(f"{len(body)} bytes are more than the {MAX_FRAME} of a frame")
    return _LENGTH.pack(len(body)) + body


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """The next frame of a blocking stream, None at its end. Raises FrameError."""
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise FrameError("ended inside a frame's length")
    size = _body_size(head)
    body = stream.read(size)
    if len(body) < size:
        raise FrameError("ended inside a frame")
    return _unpack(body)


async def receive(stream: StreamReader) -> dict[str, Any] | None:
    """The next frame of an asyncio stream, None at its end. Raises FrameError."""
    try:
        head = await stream.readexactly(_LENGTH.size)
    except IncompleteReadError as error:
        if not error.partial:
            return None
        raise FrameError("ended inside a frame's length") from error
    try:
        return _unpack(await stream.readexactly(_body_size(head)))
    except IncompleteReadError as error:
        raise FrameError("ended inside a frame") from error


def _body_size(head: bytes) -> int:
    size: int = _LENGTH.unpack(head)[0]
    if size > MAX_FRAME:
        raise FrameError(f"announces {size} bytes, more than the {MAX_FRAME} of a frame")
    return size


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body, raw=False)
    except Exception as error:  # msgpack raises many kinds; all mean the same here
        raise FrameError(f"not msgpack: {error}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a frame is a map, not {type(message).__name__}")
    return message
