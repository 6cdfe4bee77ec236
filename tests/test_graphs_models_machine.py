from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from graphs.models.machine import available_memory, holders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def machine(folder: Path, free: str = "MemAvailable:    1000 kB", **group: str) -> tuple[Path, Path]:
    (folder / "proc").mkdir(parents=True)
    (folder / "group").mkdir()
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 9999 kB\n{free}\n")
    for name, text in group.items():
        (folder / "group" / name.replace("_", ".", 1)).write_text(text)
    return folder / "proc", folder / "group"


def test_what_is_free_is_bounded_by_the_container(tmp_path: Path) -> None:
    assert available_memory(*machine(tmp_path / "a")) == 1_024_000
    limited = {"memory_max": "500000\n", "memory_current": "400000\n", "memory_stat": "anon 1\ninactive_file 100000\n"}
    assert available_memory(*machine(tmp_path / "b", **limited)) == 200_000
    assert available_memory(*machine(tmp_path / "c", **{**limited, "memory_max": "max"})) == 1_024_000
    assert available_memory(*machine(tmp_path / "d", **{**limited, "memory_max": "100"})) == 99_900 + 100 - 99_900 - 100
    assert available_memory(*machine(tmp_path / "e", free="", memory_max="broken")) is None
    assert (available_memory() or 0) > 0


def test_who_has_a_file_mapped_is_found(tmp_path: Path) -> None:
    path, other = tmp_path / "a.gguf", tmp_path / "b.gguf"
    for each in (path, other):
        each.write_bytes(b"x" * 4096)
    link = tmp_path / "link.gguf"
    link.symlink_to(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        found = holders([link, other])
    assert set(found) == {link}
    ((pid, taken),) = found[link]
    assert pid == os.getpid()
    assert taken > 1_000_000
    assert holders([path]) == {}
    assert holders([], tmp_path) == holders([path], tmp_path / "nowhere") == {}
