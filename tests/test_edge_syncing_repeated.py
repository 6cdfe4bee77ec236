"""Rounds that say the same: once."""

from __future__ import annotations

from io import StringIO

from edge.syncing.repeated import Repeated


def told(said: Repeated, *lines: str) -> str:
    """What a round with these lines says."""
    stream = StringIO()
    said.next_round()
    for line in lines:
        said.tell(stream, line)
    return stream.getvalue()


def test_a_line_is_said_once_until_a_round_does_not_have_it() -> None:
    said = Repeated()
    assert told(said, "in sync", "warning") == "in sync\nwarning\n"
    assert told(said, "in sync", "warning") == ""
    assert told(said, "in sync") == ""
    assert told(said, "in sync", "warning") == "warning\n"
    assert told(said, "lost") == "lost\n"
    assert told(said, "in sync") == "in sync\n"


def test_a_line_is_said_once_in_a_round() -> None:
    assert told(Repeated(), "a run is not in sync", "a run is not in sync") == "a run is not in sync\n"
