from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from graphs.models.hosting.machine import available_memory, holders, pages_available

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

VM_STAT = """\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               12345.
Pages active:                            301234.
Pages inactive:                          298765.
Pages speculative:                         2345.
Pages throttled:                              0.
Pages wired down:                        120000.
Pages purgeable:                           1000.
"Translation faults":                 987654321.
Pages copy-on-write:                   12345678.
Pages zero filled:                    234567890.
File-backed pages:                       150000.
Anonymous pages:                         452344.
Pages stored in compressor:              400000.
Pages occupied by compressor:            100000.
"""
"""In the form of what macOS says on a machine of 16 GB."""


def test_what_macos_says_of_its_pages_is_understood() -> None:
    assert pages_available(VM_STAT) == (12345 + 2345 + 1000 + 150_000) * 16384
    small = VM_STAT.replace("298765", "50")
    assert pages_available(small.replace("16384", "4096")) == (12345 + 2345 + 1000 + 50) * 4096
    assert pages_available("Pages free: 5.") is None
    assert pages_available(VM_STAT.replace("Pages free", "Pages gone")) is None
    assert pages_available("") is None


@pytest.mark.skipif(sys.platform != "darwin", reason="asks vm_stat")
def test_macos_is_asked() -> None:
    assert (available_memory() or 0) > 0


def machine(folder: Path, free: str = "MemAvailable:    1000 kB", **group: str) -> tuple[Path, Path]:
    (folder / "proc").mkdir(parents=True)
    (folder / "group").mkdir()
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 9999 kB\n{free}\n")
    for name, text in group.items():
        (folder / "group" / name.replace("_", ".", 1)).write_text(text)
    return folder / "proc", folder / "group"


@on_linux
def test_what_is_free_is_bounded_by_the_container(tmp_path: Path) -> None:
    assert available_memory(*machine(tmp_path / "a")) == 1_024_000
    limited = {"memory_max": "500000\n", "memory_current": "400000\n", "memory_stat": "anon 1\ninactive_file 100000\n"}
    assert available_memory(*machine(tmp_path / "b", **limited)) == 200_000
    assert available_memory(*machine(tmp_path / "c", **{**limited, "memory_max": "max"})) == 1_024_000
    assert available_memory(*machine(tmp_path / "d", **{**limited, "memory_max": "100"})) == 99_900 + 100 - 99_900 - 100
    assert available_memory(*machine(tmp_path / "e", free="", memory_max="broken")) is None
    assert (available_memory() or 0) > 0


@on_linux
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
