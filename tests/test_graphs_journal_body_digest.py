from __future__ import annotations

import zlib

import pytest

from graphs.journal.body_digest import BodyDigest
from graphs.values import digest

DATA = bytes(range(256)) * 9


@pytest.mark.parametrize(
    "pieces", [(DATA,), (DATA[:700], DATA[700:]), (b"", DATA, b""), tuple(DATA[i : i + 1] for i in range(len(DATA)))]
)
def test_a_body_is_told_by_its_name_or_its_checksum_in_whatever_pieces_it_comes(pieces: tuple[bytes, ...]) -> None:
    for name, crc in ((digest(DATA), None), (b"i" * 16, zlib.crc32(DATA))):
        first, *rest = pieces
        found = BodyDigest(name, first)
        for piece in rest:
            found.update(memoryview(piece))
        assert found.holds(crc)
        found.update(b"x")
        assert not found.holds(crc)
        assert found.complaint.endswith("says" if crc is None else "hold")


def test_without_a_checksum_nothing_holds_under_a_name_that_says_nothing() -> None:
    assert not BodyDigest(b"i" * 16, DATA).holds(None)
