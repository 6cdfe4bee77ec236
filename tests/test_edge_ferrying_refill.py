"""Going on with a run: what its journal refers to is here, at the worker, or nowhere any more."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import pytest

from edge.ferrying.refill import Source
from graphs.engine.outcomes import Known, known_outcomes
from graphs.errors import LinkCondition
from graphs.journal import Journal
from graphs.records import Result, State
from graphs.values import canonical, digest
from protocol.payload import Reference, blobref
from protocol.refill import refill

VALUE = {"text": "x" * 100}
BODY = canonical(VALUE)
HERE = blobref(digest(BODY), len(BODY))
CHILD = b"c" * 16


class Worker:
    """What is still there."""

    def __init__(self, values: dict[bytes, Any]) -> None:
        self.values = values
        self.asked: list[bytes] = []

    async def value(self, run: bytes, named: Reference) -> Any:
        self.asked.append(run)
        if named.ref not in self.values:
            raise LinkCondition("BLOB_GONE", "gone")
        return self.values[named.ref]


def filled(folder: Path, value: Any, *, link: Worker | None = None, kept: bool = False, once: Collection[str] = ()) -> Known:
    known = known_outcomes([Result("big", 1, 0, value, 5, {}), Result("small", 1, 0, 7, 5, {})])
    with Journal.open(folder / "journal.db") as journal:
        if kept:
            journal.body_files.keep("own", digest(BODY), BODY)
        known.once |= set(once)
        asyncio.run(refill(known, Source(journal, cast("Any", link), {digest(BODY): CHILD}.get).value))
    assert known.outcomes["small"].value == 7
    return known


def test_a_value_that_is_here_is_put_back_without_asking(tmp_path: Path) -> None:
    link = Worker({})
    known = filled(tmp_path, {"deep": [HERE]}, kept=True, link=link)
    assert known.outcomes["big"].value == {"deep": [VALUE]} == known.made["big"].value
    assert link.asked == []


def test_a_value_at_the_worker_is_pulled_from_the_run_that_made_it(tmp_path: Path) -> None:
    link = Worker({digest(BODY): VALUE})
    known = filled(tmp_path, HERE, link=link)
    assert (known.outcomes["big"].state, known.outcomes["big"].value) == (State.COMPLETED, VALUE)
    assert link.asked == [CHILD]


@pytest.mark.parametrize("reachable", [True, False])
@pytest.mark.parametrize("once", [True, False])
def test_of_a_value_that_is_nowhere_the_node_runs_again_if_it_may(tmp_path: Path, reachable: bool, once: bool) -> None:
    known = filled(tmp_path, HERE, link=Worker({}) if reachable else None, once={"big"} if once else ())
    assert "big" not in known.outcomes
    assert "big" not in known.made
    assert known.indeterminate == ({"big"} if once else set())
