"""Streams as a careless parent leaves them, in processes of their own: what happens there at start-up cannot be had in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphferry.streams import ESCAPED, make_usable

GRAPH = "version: 0.5\nnodes:\n  a: {agent: copyAgent, isResult: true, inputs: {said: 'Grüße, 日本 \U0001f6a2'}}\n"
SAID = "Grüße, 日本 \U0001f6a2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    return tmp_path


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A line of the shell, in which `$GF` is the command."""
    environ = {**os.environ, "GF": f"{sys.executable} -m graphferry", "PYTHONPATH": str(Path(__file__).parents[1]), **variables}
    return subprocess.run(line, shell=True, capture_output=True, cwd=folder, env=environ, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:surrogateescape"])
def test_what_a_terminal_cannot_show_is_escaped_and_json_stays_json(folder: Path, encoding: str) -> None:
    done = shell("$GF run g.yaml --json", folder, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("latin-1"))["results"]["a"] == {"said": SAID}


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_reason_to_fail_and_its_number_goes_to_no_other_file(folder: Path, closed: str) -> None:
    done = shell(f"$GF run g.yaml {closed}", folder)
    assert done.returncode == 0, done.stderr
    assert b"internal error" not in done.stderr
    listed = shell("$GF runs", folder)
    assert b"completed" in listed.stdout
    assert (b"said" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_whoever_reads_progress_may_stop_reading(folder: Path) -> None:
    done = shell("($GF run g.yaml 2>&1 >/dev/null; echo left with $? >&3) 3>status | head -c 1", folder)
    assert (folder / "status").read_text(encoding="utf-8") == "left with 141\n"
    assert done.stderr == b""
    assert b"completed" in shell("$GF runs", folder).stdout


def test_a_character_is_escaped_as_json_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+", encoding="ascii", errors="strict") as out:
        monkeypatch.setattr(sys, "stdout", out)
        make_usable()
        assert out.errors == ESCAPED
        out.write(f"{SAID}\ud800")
        out.seek(0)
        assert out.read() == "Gr\\u00fc\\u00dfe, \\u65e5\\u672c \\ud83d\\udea2\\ud800"
