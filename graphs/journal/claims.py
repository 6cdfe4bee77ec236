"""Which process of a store goes on with a run: the one that claimed it last. Only it may begin a part of the run elsewhere, and say something in one.

A lock keeps other processes from a run (edge.runs.at_work). Where it is lost (its file was deleted, its file system forgot it) two processes go on
with one run, and neither knows. What either records in the run's own log stops the other, as it goes where something is already. A child run has
logs of its own: each could begin one, and a worker would do for both what is to be done once; or it heard more in one than the other process knows
that was said, and took the two copies for a contradiction. So who goes on with a run claims it before it reads what there is of it, and whatever is
said in a child run is written in the same transaction as a look at the claim: it is there for whoever claims later, or never.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from graphs.journal.store import Journal

__all__ = ["Claims", "claim", "forget_claim", "require_claim", "require_claims", "while_claimed"]

_CLAIM: Final = "claim "
"""Before a run's id, in the journal's table of notes. A run that only the process that began it has worked on has none."""


class Claims:
    """What one process goes on with: `made` are its claims by run, `parts` the child runs in which it says something, with the run of each."""

    def __init__(self) -> None:
        self.made: dict[bytes, bytes] = {}
        self.parts: dict[bytes, bytes] = {}


def claim(journal: Journal, run: bytes) -> None:
    """Queue that this process goes on with the run, and no other one."""
    token = journal.claims.made[run] = os.urandom(8)
    journal.set_meta(_CLAIM + run.hex(), token)


@contextmanager
def while_claimed(journal: Journal, run: bytes) -> Iterator[None]:
    """What is queued inside is one transaction, which fails, and with it the journal (JournalError), if another process has claimed the run since."""
    with journal.together():
        _require(journal, run)
        yield


def require_claim(journal: Journal, part: bytes) -> None:
    """Queue that the transaction which this belongs to fails, and with it the journal, if another process has claimed the run of this child run.
    Nothing for one that this process only copies, or ends because nobody goes on with it.
    """
    run = journal.claims.parts.get(part)
    if run is not None:
        _require(journal, run)


def require_claims(journal: Journal) -> None:
    """The same for all runs that this process goes on with: it is about to take a number by which a worker knows it as the latest."""
    for run in {*journal.claims.made, *journal.claims.parts.values()}:
        _require(journal, run)


def forget_claim(journal: Journal, run: bytes) -> None:
    """Queue that the run is removed."""
    journal.drop_meta(_CLAIM + run.hex())


def _require(journal: Journal, run: bytes) -> None:
    journal.require_meta(_CLAIM + run.hex(), journal.claims.made.get(run))
