"""The child process as far as it goes without a model: that it starts wherever its parent stands, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from graphs.errors import ModelMissing
from graphs.models import frames
from graphs.models.hosting.process import CHILD, ModelProcess
from model_fakes import tiny_gguf


def test_it_starts_from_any_folder_even_one_full_of_traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("msgpack.py", "queue.py", "graphs.py", "numpy.py"):
        (tmp_path / name).write_text("raise SystemExit('a trap')")
    monkeypatch.chdir(tmp_path)
    path = tiny_gguf(tmp_path / "empty.gguf")
    # Without llama.cpp it cannot be imported, with it this file has no weights: either way the child itself says so.
    with pytest.raises(ModelMissing, match=r"Model empty cannot be loaded: (ModuleNotFoundError|ValueError)"):
        asyncio.run(ModelProcess.start("empty", {"path": str(path), "context": 512, "threads": 1, "slots": 2, "states": None}))


def test_without_a_parent_it_ends_at_once() -> None:
    done = subprocess.run(CHILD, input=b"", capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_nothing_but_frames_reaches_the_pipe() -> None:
    program = (
        "import os, sys; from graphs.models.llama.child import _take_pipe; source, target = _take_pipe(); "
        "print('noise', flush=True); os.system('echo more noise'); print(repr(sys.stdin.read()), file=sys.stderr); "
        "target.write(source.read()); target.flush()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b"frame",
        capture_output=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout == b"frame"
    assert done.stderr.split(b"\n") == [b"noise", b"more noise", b"''", b""]


def test_what_is_no_frame_ends_it_without_an_answer() -> None:
    done = subprocess.run(CHILD, input=b"\xff\xff\xff\xff", capture_output=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    assert str(frames.MAX_FRAME).encode() in done.stderr
