"""Questions and answers on record: what is asked in the runs of this device, and how an answer is written down.

An answer may come while another process works on the run, so nobody who answers writes into the log of the run's holder: each answer is a log of
its own, of a writer made for it. A log belongs to one writer, so nothing can collide, whoever answers wherever; and the order in which the
logs began in a journal is the order in which the answers became durable there.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from graphs.engine.holding import HOLDING_TYPES, holding
from graphs.errors import JournalError, UsageError
from graphs.questions import Asked, Question, asked, shown
from graphs.records import Answer, Result, encode
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal, RunRow

__all__ = ["UNDECIDED", "asked_in", "asking_runs", "give", "is_held_here", "note", "overtaken", "overtaken_in", "refuse_second"]

_LEFT: Final = "waits"
"""Said of each run that a process of this device left, and of none that is elsewhere (protocol.run_log)."""

UNDECIDED: Final = ("running", "suspended", "failed")
"""The states of runs that may go on, so that an answer is of use."""


def asked_in(journal: Journal, run: bytes) -> dict[str, Asked]:
    """The questions of a run, by path."""
    return asked(journal.records(run))


def asking_runs(journal: Journal, rows: Iterable[RunRow] | None = None) -> Iterator[tuple[RunRow, list[Asked]]]:
    """The runs of these (all, the newest first, if None) in which a question is open, with all their questions that are not over.

    A run that a process of this device left without a question is not read. One whose records are damaged is passed over: `runs show` says what is
    wrong.
    """
    for row in journal.runs(role="root") if rows is None else rows:
        left: Mapping[str, Any] = (row.exit_info if row.status != "running" else None) or {}
        if row.status not in UNDECIDED or (_LEFT in left and not left.get("questions")):
            continue
        try:
            found = [each for each in asked_in(journal, row.run).values() if not each.over]
        except JournalError:
            continue
        if any(each.open for each in found):
            yield row, found


def is_held_here(journal: Journal, run: bytes) -> bool:
    """Whether this store holds the run: it began it or was given it, and has not given it away (docs/protocol.md §11)."""
    found = holding((logged.writer, logged.record) for logged in journal.records_of(run, *HOLDING_TYPES))
    return found is not None and found.holder == journal.store_id


def note(journal: Journal, run: bytes, question: Question, value: Value) -> bytes:
    """Queue the answer; gives the writer that was made for it. It counts once it is durable, if no other was before it."""
    writer = secrets.token_bytes(8)
    journal.accept(run, writer, 1, encode(question.answer(value)))
    return writer


def give(journal: Journal, run: bytes, question: Question, value: Value) -> bytes:
    """Write the answer down, durably; gives the writer that was made for it. Blocks.

    Raises UsageError if another one was there first: then that one counts.
    """
    refuse_second(journal, run, question)
    writer = note(journal, run, question, value)
    journal.flush(full=True)
    now = asked_in(journal, run).get(question.path)
    if now is None or now.question.at != question.at or now.answer is None or now.answer.writer != writer:
        refuse_second(journal, run, question, late=True)
    return writer


def overtaken(journal: Journal, run: bytes, paths: Collection[str] | None = None) -> dict[str, Value]:
    """Of these paths, or of all, those whose nodes went on with another answer than the first that was here, and with which: the first where
    the run is held.
    """
    found = asked_in(journal, run)
    here = {path: (found[path].question.at, found[path].answer) for path in (found if paths is None else paths) if path in found}
    answers: dict[tuple[bytes, int], Value] = {}
    with_others: dict[str, Result] = {}
    for writer, seq, _, record in journal.records(run):
        if isinstance(record, Answer):
            answers[writer, seq] = record.value
        elif isinstance(record, Result) and record.path in here and "answer" in record.by:
            at, ours = here[record.path]
            if record.at == at and ours is not None and list(record.by["answer"]) != [ours.writer, ours.seq]:
                with_others[record.path] = record
    return {path: answers.get(tuple(record.by["answer"]), record.value) for path, record in with_others.items()}


def overtaken_in(journal: Journal, runs: Iterable[bytes]) -> Iterator[tuple[bytes, str, Value]]:
    """Of these runs the nodes that went on with another answer than the first that was here, and with which. A damaged run is passed over."""
    for run in runs:
        with suppress(JournalError):
            yield from ((run, path, value) for path, value in overtaken(journal, run).items())


def refuse_second(journal: Journal, run: bytes, question: Question, *, late: bool = False) -> None:
    """Raises UsageError if the question has its answer, with the one that counts; `late` says that another was written down and came second."""
    now = asked_in(journal, run).get(question.path)
    if now is not None and now.question.at == question.at and now.answer is not None:
        value = overtaken(journal, run, [question.path]).get(question.path, now.answer.value)
        counts = f"{question.path!r} is answered: {shown(value)}"
        raise UsageError(counts, hint="The first answer counts; " + ("yours came second." if late else "nothing was changed."))
    if now is None or now.over or now.question.at != question.at:
        raise UsageError(f"{question.path!r} is not asked any more: the run has gone on", hint="graphferry runs show tells how.")
