"""Whether the bytes of a body are what was kept."""

from __future__ import annotations

import hashlib
import zlib

__all__ = ["BodyDigest"]


class BodyDigest:
    """What shows whether a body is sound: the SHA-256 of its bytes, which is its name, or of a handle's, whose name says nothing, the CRC-32."""

    __slots__ = ("_crc", "_hash", "_name")

    def __init__(self, name: bytes, data: bytes = b"") -> None:
        self._name = name
        self._hash = hashlib.sha256(data) if len(name) == 32 else None
        self._crc = zlib.crc32(data) if self._hash is None else 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take in the next bytes."""
        if self._hash is not None:
            self._hash.update(piece)
        else:
            self._crc = zlib.crc32(piece, self._crc)

    @property
    def complaint(self) -> str:
        """What is wrong if it does not hold."""
        return "its checksum does not hold" if self._hash is None else "it is not what its name says"

    def holds(self, crc: int | None) -> bool:
        """Whether what was taken in is the body; `crc` is a handle's."""
        return self._hash.digest() == self._name if self._hash is not None else self._crc == crc
