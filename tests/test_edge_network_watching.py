from __future__ import annotations

import threading

from edge.network.conditions import Conditions
from edge.network.watching import Watched

LOW, FULL = Conditions(on_battery=True, charge=0.05, source="command"), Conditions(on_battery=False, source="command")


def test_nobody_waits_but_the_first() -> None:
    may, began, now = threading.Event(), threading.Event(), [0.0]
    told = [FULL, LOW]

    def read() -> Conditions:
        began.set()
        assert may.wait(60)
        return told.pop(0)

    watched = Watched(read, lambda: now[0])
    may.set()
    assert watched() == FULL
    may.clear()
    began.clear()
    now[0] = 29.0
    assert watched() == FULL
    assert not began.is_set(), "it is fresh"
    now[0] = 31.0
    assert watched() == FULL, "nobody waits for it"
    assert began.wait(60)
    assert watched() == FULL, "and it is not asked twice at once"
    may.set()
    assert watched._reading is not None
    watched._reading.join(60)
    assert watched() == LOW
    assert told == []
