"""What must hold after any schedule of chaos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from graphs.journal.bodies import BodyFiles
from graphs.journal.reader import Reader
from graphs.records import End, Result

__all__ = ["check_effects", "check_journals", "check_stores"]


def check_journals(home: Path, *, forgetful: Collection[str] = (), diverged: bool = False) -> None:
    """Both journals agree: of every log that both have, one copy is the beginning of the other, a copy never is longer than the
    writer's, each path has one result in the run, and no log goes on after END. Of a run that is known to have `diverged` only the latter. A writer
    whose disk was `forgetful` may contradict the copy, where the run needed nothing more of it: until they meet again, nobody can know.
    """
    check_stores(home / "edge" / "journal.db", home / "cloud" / "journal.db", forgetful=forgetful, diverged=diverged)


def check_stores(
    device: Path,
    worker: Path,
    *,
    forgetful: Collection[str] = (),
    diverged: bool = False,
    made: Collection[bytes] = (),
    others: Collection[Path] = (),
) -> None:
    """As `check_journals`, of these files. `made` are bodies that the worker has made itself, perhaps without a record that refers to them; others
    it may have from `others` of its devices.
    """
    paths = {"edge": device, "cloud": worker}
    logs = {side: _logs(path) for side, path in paths.items()}
    stores = {side: _store(path) for side, path in paths.items()}
    for key in logs["edge"].keys() & logs["cloud"].keys() if not diverged else ():
        here, there = logs["edge"][key], logs["cloud"][key]
        writer, own, copy = ("device", here, there) if key[1] == stores["edge"] else ("worker", there, here)
        if writer in forgetful:
            continue
        common = min(len(here), len(there))
        assert here[:common] == there[:common], f"the copies of log {key} contradict each other"
        assert len(copy) <= len(own), f"the copy of log {key} has more records than its writer"
    for side, held in logs.items():
        for (run, _), entries in held.items():
            ends = [number for number, each in enumerate(entries) if each[0] == End.TYPE]
            if _is_executors(entries):
                assert ends in ([], [len(entries) - 1]), f"run {run.hex()} at the {side} goes on after its END"
    _one_result_each(device)
    if "device" not in forgetful:
        _audited(device, worker, stores["edge"], made, others)


def _audited(device: Path, worker: Path, store: bytes, made: Collection[bytes], others: Collection[Path] = ()) -> None:
    """Whatever of the device's the worker has for its child runs has its line in the device's audit: records, graphs, and bodies, unless the worker
    has them from another device.
    """
    if not device.exists() or not worker.exists():
        return
    here, there = Reader(device), Reader(worker)
    try:
        everything = [entry for row in here.runs() for _, entry in here.departures(row.run)]
        bodies = {each["ref"] for each in everything if each["kind"] == "body"} | {name.hex() for name in made}
        for path in others:
            bodies |= _bodies_from(path)
        for row in there.runs(role="child"):
            if row.parent is None or store not in there.writers(row.run):
                continue
            noted = [entry for _, entry in here.departures(row.run)]
            marks = [each["seq"] for each in noted if each["kind"] == "mark"]
            assert marks[:1] == [1], f"records of child run {row.run.hex()} left, and no line says when: {marks}"
            assert any(each["kind"] == "worker" for each in noted), f"child run {row.run.hex()} left, and no line says to whom"
            graphs = [entry for _, entry in here.departures(row.parent) if entry["kind"] == "graph"]
            assert graphs, f"a graph of run {row.parent.hex()} left without a line"
            files = BodyFiles(worker)
            for body in there.bodies(row.run):
                if there.body(body.scope, body.name) is None and files.held(body.scope, body.name)[1]:
                    assert body.name.hex() in bodies, f"body {body.name.hex()} of child run {row.run.hex()} left without a line"
            files.close()
    finally:
        here._reader.close()
        there._reader.close()


def _bodies_from(device: Path) -> set[str]:
    """The large values that left another device."""
    if not device.exists():
        return set()
    there = Reader(device)
    try:
        return {entry["ref"] for row in there.runs() for _, entry in there.departures(row.run) if entry["kind"] == "body"}
    finally:
        there._reader.close()


def _is_executors(entries: list[tuple[int, bytes]]) -> bool:
    return bool(entries) and entries[0][0] >= 0x30


def _logs(path: Path) -> dict[tuple[bytes, bytes], list[tuple[int, bytes]]]:
    if not path.exists():
        return {}
    reader = Reader(path)
    try:
        found: dict[tuple[bytes, bytes], list[tuple[int, bytes]]] = {}
        for row in reader.runs():
            for head in reader.heads(row.run):
                entries = [(each.type, each.tail) for each in reader.entries(row.run, head.writer)]
                found[row.run, head.writer] = entries
        return found
    finally:
        reader._reader.close()


def _store(path: Path) -> bytes:
    import sqlite3

    if not path.exists():
        return b""
    with sqlite3.connect(path) as db:
        found: Any = db.execute("SELECT id FROM store").fetchone()[0]
    db.close()
    return bytes(found)


def _one_result_each(path: Path) -> None:
    reader = Reader(path)
    try:
        roots = reader.runs(role="root")
        for row in roots:
            own = [each.record for each in reader.records(row.run) if isinstance(each.record, Result)]
            counted = Counter(record.path for record in own if "alt" not in record.by)
            twice = {path: number for path, number in counted.items() if number > 1}
            assert not twice, f"results recorded twice in the run: {twice}"
    finally:
        reader._reader.close()


def check_effects(log: Path, forgetful: Collection[str] = ()) -> None:
    """No node with effects began twice; where a device's disk forgot that it had begun, nobody else could know."""
    lines = log.read_text().splitlines() if log.exists() else []
    deeds = Counter(line.split()[1] for line in lines if line.startswith("deed "))
    if "device" in forgetful:
        return
    assert all(number == 1 for number in deeds.values()), f"nodes with effects ran again: {deeds}"
