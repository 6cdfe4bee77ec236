"""What two stores say to find the logs in which they differ."""

from __future__ import annotations

from itertools import pairwise

import pytest

from protocol.digest import PAGE, Held, Line, Verdict, message, pages, read, weigh
from protocol.errors import RemoteProtocolError
from protocol.handshake import Status
from protocol.messages import Digest
from wire.pair import run_id

ME, OTHER = b"device-1", b"device-2"
RUN = run_id(1)


@pytest.mark.parametrize(
    ("said", "held", "verdict"),
    [
        (Line(RUN, OTHER, 3, 33), Held(RUN, OTHER, 3, 33, 33), Verdict.SAME),
        (Line(RUN, OTHER, 3, 33), Held(RUN, OTHER, 3, 34, 34), Verdict.DIVERGED),
        (Line(RUN, OTHER, 3, 33), Held(RUN, OTHER, 5, 55, 33), Verdict.GIVE),
        (Line(RUN, OTHER, 3, 33), Held(RUN, OTHER, 5, 55, 34), Verdict.DIVERGED),
        (Line(RUN, OTHER, 0, 0), Held(RUN, OTHER, 5, 55, 0), Verdict.GIVE),
        (Line(RUN, OTHER, 5, 55), Held(RUN, OTHER, 3, 33), Verdict.ASK),
        (Line(RUN, OTHER, 5, 55), None, Verdict.ASK),
        (Line(RUN, ME, 5, 55), None, Verdict.DIVERGED),
        (Line(RUN, ME, 5, 55), Held(RUN, ME, 3, 33), Verdict.DIVERGED),
        (Line(RUN, ME, 5, 55), Held(RUN, ME, gives=False, takes=False), Verdict.SAME),
        (Line(RUN, OTHER, 0, 0), None, Verdict.SAME),
        (Line(RUN, OTHER, 3, 33, Status.DIVERGED), Held(RUN, OTHER, 3, 33, 33), Verdict.DIVERGED),
    ],
)
def test_what_follows_from_a_line(said: Line, held: Held | None, verdict: Verdict) -> None:
    assert weigh(said, held, ME) is verdict


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 3 * PAGE])
def test_pages_say_every_log_once_and_in_order(count: int) -> None:
    lines = [Line(run_id(number), ME, 1, 1) for number in reversed(range(count))]
    found = list(pages(lines, 7))
    assert [page.more for page in found] == [True] * (len(found) - 1) + [False]
    assert all(len(page.logs) <= PAGE and page.req == 7 and not page.answer for page in found)
    said = [line for page in found for line in read(page)]
    assert sorted(said) == sorted(lines)
    assert all(one.key < another.key for one, another in pairwise(said))


def test_a_status_survives_the_wire() -> None:
    lines = [Line(RUN, ME, 3, 33), Line(RUN, OTHER, 4, 44, Status.DIVERGED)]
    assert read(message(1, lines, answer=True, more=False)) == lines


@pytest.mark.parametrize(
    "logs",
    [
        [[RUN, ME, 1]],
        [[RUN[:3], ME, 1, 1]],
        [[RUN, ME, -1, 1]],
        [[RUN, ME, 1, 1, 9]],
        [7],
        [[RUN, OTHER, 1, 1], [RUN, ME, 1, 1]],
        [[RUN, ME, 1, 1], [RUN, ME, 1, 1]],
    ],
)
def test_what_is_no_page_is_refused(logs: list[object]) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        read(Digest(1, False, logs, False))
    assert refused.value.fault == "PROTOCOL_DECODE"


def test_a_page_is_bounded() -> None:
    with pytest.raises(RemoteProtocolError):
        read(Digest(1, True, [[RUN, ME, 1, 1]] * (PAGE + 1), False))
