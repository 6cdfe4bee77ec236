from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import UsageError
from graphs.models.files import facts
from graphs.models.files.facts import examine, facts_of, hash_file, known_facts, memory_needed, remember
from graphs.models.memory import footprint
from model_fakes import tiny_gguf


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_facts_are_found_out_once_and_kept_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", general__license="mit")
    assert known_facts(path) is None
    found = facts_of(path)
    assert (found.sha256, found.size, found.licence, found.context) == (sha(path), path.stat().st_size, "mit", 512)
    assert json.loads((tmp_path / "a.gguf.json").read_text())["sha256"] == found.sha256
    monkeypatch.setattr(facts, "hash_file", None)
    assert facts_of(path) == found


def test_a_changed_file_has_other_facts(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    before = facts_of(path)
    tiny_gguf(path, extra=1)
    assert known_facts(path) is None
    assert facts_of(path).sha256 == sha(path) != before.sha256


def test_a_file_of_the_same_size_with_another_time_of_change_is_not_trusted(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", extra=1)
    facts_of(path)
    kept = path.stat()
    tiny_gguf(path, extra=2)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns + 1))
    assert path.stat().st_size == kept.st_size
    assert facts_of(path).sha256 == sha(path)


@pytest.mark.parametrize("kept", ["", "{", "[]", "null", "{}", '{"sha256": "x", "size": "many", "mtime_ns": 1}'])
def test_damaged_facts_are_found_out_anew(tmp_path: Path, kept: str) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    (tmp_path / "a.gguf.json").write_text(kept)
    assert facts_of(path).sha256 == sha(path)


def test_unknown_fields_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    found = facts_of(path)
    beside = tmp_path / "a.gguf.json"
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"colour": "red"}))
    assert known_facts(path) == found


def test_where_nothing_may_be_written_facts_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        found = facts_of(path)
    assert not (tmp_path / "a.gguf.json").exists()
    assert known_facts(path) == found


def test_source_and_licence_are_those_given_where_the_file_names_none(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    remember(path, examine(path, source="a shop", licence="MIT"))
    kept = known_facts(path)
    assert kept is not None
    assert (kept.source, kept.licence) == ("a shop", "MIT")


@pytest.mark.parametrize(
    ("measured", "at"),
    [
        (None, None),
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01:00+00:00", 60),
        ("1970-01-01T01:00:30+01:00", 30),
        ("yesterday", None),
        (3, None),
    ],
)
def test_when_something_was_measured_is_a_time(tmp_path: Path, measured: Any, at: float | None) -> None:
    assert replace(facts_of(tiny_gguf(tmp_path / "a.gguf")), measured=measured).measured_at == at


def test_other_files_and_missing_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.gguf").write_bytes(b"none")
    with pytest.raises(UsageError, match="not a GGUF"):
        facts_of(tmp_path / "b.gguf")
    with pytest.raises(FileNotFoundError):
        facts_of(tmp_path / "c.gguf")
    assert hash_file(tmp_path / "b.gguf") == hashlib.sha256(b"none").hexdigest()


def test_what_a_model_needs_is_read_from_its_header_or_from_what_is_known(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", llama__block_count=1, llama__embedding_length=8, llama__attention__head_count=1)
    size = path.stat().st_size
    whole = memory_needed(path, 0)
    assert memory_needed(path, 10_000) == whole == footprint(size, 32, 512), "no longer than it was trained for"
    assert memory_needed(path, 256) == footprint(size, 32, 256)
    facts_of(path)
    assert memory_needed(path, 0) == whole
    (tmp_path / "b.gguf").write_bytes(b"no model")
    assert memory_needed(tmp_path / "b.gguf", 100) == footprint(8, None, 100)
