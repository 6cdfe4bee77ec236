from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.models.files.gguf import read_header
from graphs.models.files.quantise import quantise
from graphs.models.files.store import DEFAULT_MODEL, ModelStore
from model_fakes import tiny_gguf

CHILD = """\
import os, pathlib, sys
source, target, kind = sys.argv[1:]
verb = pathlib.Path(source).stem
pathlib.Path(target).write_bytes(b"GGUF" + kind.encode())
if verb == "fails":
    sys.stderr.write("one\\ntwo\\n")
    print("failed no such tensor")
    sys.exit(1)
if verb == "dies":
    os.abort()
print("1 2", "noise", "2 2", sep="\\n")
print("" if verb == "mumbles" else "done")
"""


def rewritten(tmp_path: Path, verb: str) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    quantise(
        tmp_path / f"{verb}.gguf",
        tmp_path / "out",
        "q8_0",
        lambda done, total: seen.append((done, total)),
        command=(sys.executable, "-c", CHILD),
    )
    return seen


def test_the_child_writes_the_file_and_says_how_far_it_is(tmp_path: Path) -> None:
    assert rewritten(tmp_path, "works") == [(1, 2), (2, 2)]
    assert (tmp_path / "out").read_bytes() == b"GGUFq8_0"


@pytest.mark.parametrize(
    ("verb", "told"),
    [("fails", "no such tensor.\n  one\n  two"), ("dies", "its process ended with code -6"), ("mumbles", "code 0")],
)
def test_a_file_that_is_not_whole_is_not_left_behind(tmp_path: Path, verb: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        rewritten(tmp_path, verb)
    assert told in caught.value.message
    assert "--quant none" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


def test_an_interruption_ends_the_child(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantise(tmp_path / "works.gguf", tmp_path / "out", "q8_0", interrupt, command=(sys.executable, "-c", CHILD))


def test_without_llama_cpp_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"llama\.cpp is not installed") as caught:
        quantise(tmp_path / "a.gguf", tmp_path / "out", "q8_0")
    assert "--quant none" in (caught.value.hint or "")


@pytest.mark.real_model
@pytest.mark.usefixtures("home_with_model")
def test_the_real_library_writes_q4_0_and_refuses_what_is_no_model(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = ModelStore().find(DEFAULT_MODEL).path
    quantise(source, tmp_path / "out.gguf", "q4_0", lambda done, total: seen.append((done, total)))
    made, before = read_header(tmp_path / "out.gguf"), read_header(source)
    assert made.quantisation == "Q4_0"
    assert (made.licence, made.chat_template, made.context, made.kv_bytes) == (
        before.licence, before.chat_template, before.context, before.kv_bytes,
    )  # fmt: skip
    assert seen[-1][0] == seen[-1][1] == len(seen)
    with pytest.raises(UsageError, match="cannot be written as q8_0"):
        quantise(tiny_gguf(tmp_path / "tiny.gguf"), tmp_path / "other.gguf", "q8_0")
    assert not (tmp_path / "other.gguf").exists()
