"""What the session of a device tells it, and what is for whoever runs the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import CommandLine
from workers import worker

GRAPH = """\
version: 0.5
nodes:
  made: {agent: copyAgent, place: edge, inputs: {text: ":long"}}
  long: {value: LONG}
  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: ":made.text"}}
"""


def test_why_a_value_cannot_be_kept_is_for_whoever_runs_the_worker(
    cli: CommandLine, own_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "g.yaml").write_text(GRAPH.replace("LONG", "x" * 100_000), encoding="utf-8")
    with worker(own_home) as served:
        kept = served.call(lambda: served.worker.journal.body_files.folder)
        kept.write_bytes(b"not a folder")
        done = cli("run", "g.yaml", "--cloud", served.url)
        shown = cli("runs", "show", done.stderr.split()[1])
    assert done.status == 3
    assert "could not keep or read a value" in done.stderr
    assert str(kept) not in done.stderr + shown.stdout + shown.stderr
    assert any(str(kept) in line for line in caplog.messages)
