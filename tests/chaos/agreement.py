"""What must hold of runs that moved, once the network is whole again and everybody has synced: all stores have the same, and one of them holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.verify import check_stores
from graphs.engine.holding import holding
from graphs.engine.outcomes import FORK, KEY
from graphs.errors import JournalError
from graphs.journal.bodies import BodyFiles
from graphs.journal.reader import Reader, RunRow
from graphs.questions import asked
from graphs.records import Result, Submit
from graphs.values import clean
from protocol.payload import references

__all__ = ["Seen", "check_agreement", "deeds", "disagreement", "seen"]


@dataclass(frozen=True)
class Seen:
    """A root run, as one store has it: its id, whether it is a fork, who holds it (by the store's name for itself: True), what it asks."""

    run: str
    status: str
    fork: bool
    mine: bool
    over: bool
    known: bool = True
    asks: tuple[str, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)


def seen(journal: Path) -> list[Seen]:
    """The root runs of a store, the first of all first, then its forks; none while there is no journal."""
    with _reading(journal) as reader:
        if reader is None:
            return []
        store = _store(reader)
        found = [_seen(reader, row, store) for row in reversed(reader.runs(role="root"))]
    return sorted(found, key=lambda each: each.fork)


def _seen(reader: Reader, row: RunRow, store: bytes) -> Seen:
    logged = list(reader.records(row.run))
    submit = next((each.record for each in logged if isinstance(each.record, Submit)), None)
    standing = holding((each.writer, each.record) for each in logged)
    return Seen(
        row.run.hex(),
        row.status,
        fork=submit is not None and FORK in submit.opts,
        mine=standing is not None and standing.holder == store,
        over=row.status in ("completed", "cancelled") or (standing is not None and standing.over),
        known=submit is not None,
        asks=tuple(path for path, each in asked(logged).items() if each.open),
        results=_results(reader, row.run),
    )


def _results(reader: Reader, run: bytes) -> dict[str, Any]:
    """What its nodes gave, by path, but for what is beside the records: what is made of that is here."""
    found: dict[str, Any] = {}
    for each in (run, *(child.run for child in reader.children(run))):
        for logged in reader.records(each):
            record = logged.record
            if isinstance(record, Result) and _counts(record) and not references(record):
                found.setdefault(record.path, clean(record.value))
    return found


def _counts(record: Result) -> bool:
    return not record.by.get("alt") and KEY not in record.by


def disagreement(stores: Mapping[str, Path]) -> str | None:
    """What two stores have different of the logs of root runs and their parts; None if they have the same."""
    heads = {name: _heads(path) for name, path in stores.items()}
    every = {key for each in heads.values() for key in each}
    for run, writer in sorted(every):
        held = {name: each.get((run, writer)) for name, each in heads.items()}
        if len(set(held.values())) > 1:
            return f"of the log of run {run.hex()} by {writer.hex()} they have {held}"
    return None


def _heads(path: Path) -> dict[tuple[bytes, bytes], tuple[int, int]]:
    with _reading(path) as reader:
        if reader is None:
            return {}
        runs = [row.run for row in reader.runs(role="root")]
        every = [each for run in runs for each in (run, *(child.run for child in reader.children(run)))]
        return {(head.run, head.writer): (head.last, head.chk) for run in every for head in reader.heads(run)}


def check_agreement(stores: Mapping[str, Path], worker: str, expected: Mapping[str, Any], log: Path) -> None:
    """The same records and values in all stores, one holder of each run, the undisturbed run's results, no effect twice; the logs are in order, and
    what left a device is in its audit. `worker` is the one of the stores that is one, `expected` are results by path.
    """
    different = disagreement(stores)
    assert different is None, different
    for name, path in stores.items():
        if name != worker:
            check_stores(path, stores[worker], others=[each for other, each in stores.items() if other not in (name, worker)])
        _check_values(name, path)
    _check_holders(stores)
    for name, path in stores.items():
        for each in seen(path):
            wrong = {path: value for path, value in each.results.items() if value != expected.get(path)}
            right = {path: expected.get(path) for path in wrong}
            assert not wrong, f"{name}: run {each.run} has {wrong}, undisturbed it has {right}"
            assert each.status != "completed" or "end" in each.results, f"{name}: run {each.run} is completed without its result"
            assert each.over == (each.status in ("completed", "cancelled")), f"{name}: run {each.run} is over, and {each.status}"
    counts = Counter(path for path, _ in _deeds(log))
    assert all(number == 1 for number in counts.values()), f"nodes with effects ran again: {counts}"


def _check_holders(stores: Mapping[str, Path]) -> None:
    """Exactly one store is the holder of each run, by what it has itself."""
    holders: dict[str, list[str]] = {}
    for name, path in stores.items():
        for each in seen(path):
            holders.setdefault(each.run, []).extend([name] if each.mine else [])
    assert all(len(names) == 1 for names in holders.values()), f"held by {holders}"


def _check_values(name: str, path: Path) -> None:
    """Whatever the records of shared runs refer to is there; no path of a run has two results."""
    files = BodyFiles(path)
    try:
        with _reading(path) as reader:
            for row in reader.runs(role="root") if reader is not None else ():
                counted: Counter[str] = Counter()
                for run in (row.run, *(child.run for child in reader.children(row.run))):
                    for logged in reader.records(run):
                        record = logged.record
                        for named in references(record):
                            places = [each for _, each in reader.bodies_named(named.ref)]
                            held = any(files.held(each.scope, each.name)[1] for each in places)
                            assert held, f"{name}: a value of {getattr(record, 'path', None)} in run {run.hex()} is not there"
                        if isinstance(record, Result) and _counts(record):
                            counted[record.path] += 1
                twice = {path: number for path, number in counted.items() if number > 1}
                assert not twice, f"{name}: run {row.run.hex()} has two results of {twice}"
    finally:
        files.close()


def deeds(log: Path) -> dict[str, Any]:
    """What nodes with effects did, by path: what a person finds who looks."""
    return dict(_deeds(log))


def _deeds(log: Path) -> Iterator[tuple[str, Any]]:
    for line in log.read_text().splitlines() if log.exists() else ():
        word, path, _, value = line.split(" ", 3)
        if word == "deed":
            yield path, json.loads(value)


def _store(reader: Reader) -> bytes:
    return bytes(reader._query("SELECT id FROM store")[0][0])


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    if not path.exists():
        yield None
        return
    reader = None
    try:
        reader = Reader(path)
        reader.runs(1)
    except JournalError:  # its process died before there were tables
        yield None
    else:
        yield reader
    finally:
        if reader is not None:
            reader._reader.close()
