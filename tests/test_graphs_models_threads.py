from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from graphs.models import threads
from graphs.models.threads import physical_cores, thread_count

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")


def topology(folder: Path, siblings: list[str]) -> Path:
    for cpu, text in enumerate(siblings):
        place = folder / f"cpu{cpu}" / "topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(text + "\n", encoding="ascii")
    return folder


@linux
@pytest.mark.parametrize(
    ("cpus", "siblings", "quota", "cores"),
    [
        ({0, 1}, ["0", "1"], None, 2),
        ({0, 1, 2, 3}, ["0-1", "0-1", "2-3", "2-3"], "max 100000", 2),
        ({1, 2}, ["0-1", "0-1", "2-3", "2-3"], None, 2),
        ({0, 1, 2, 3}, ["0", "1", "2", "3"], "250000 100000", 2),
        ({0, 1, 2, 3}, ["0", "1", "2", "3"], "50000 100000", 1),
        ({0, 1, 2}, [], "nonsense", 3),
    ],
)
def test_cores_are_counted_without_hyper_threads_and_within_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: set[int], siblings: list[str], quota: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cpus)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n", encoding="ascii")
    assert physical_cores(topology(tmp_path / "cpu", siblings), tmp_path / "cpu.max") == cores


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 1), (4, 3), (16, 15)])
def test_one_core_is_left_to_everything_else(monkeypatch: pytest.MonkeyPatch, cores: int, count: int) -> None:
    monkeypatch.setattr(threads, "physical_cores", lambda: cores)
    assert thread_count() == count
