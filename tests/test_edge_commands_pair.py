from __future__ import annotations

from pathlib import Path

import pytest

from conftest import CommandLine
from edge.pairings import Pairings
from processes import serve


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["worker:8765", "ABCD-EFGH-JKMN-PQRS"], "not a link URL"),
        (["wss://127.0.0.1:1", "CANARY"], "no pairing code"),
        (["ws://worker:8765", "ABCD-EFGH-JKMN-PQRS"], "not encrypted"),
        (["wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--fingerprint", "sha256:1"], "no fingerprint"),
        (["wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--name", "a\nb"], "--name"),
    ],
)
def test_what_cannot_be_paired_is_said_before_anything_is_sent(cli: CommandLine, words: list[str], told: str) -> None:
    outcome = cli("pair", *words)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert told in outcome.stderr
    assert "CANARY" not in outcome.stderr


def test_a_worker_that_is_not_there(cli: CommandLine, own_home: Path) -> None:
    outcome = cli("pair", "ws://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS")
    assert outcome.status == 4
    assert "cannot be reached" in outcome.stderr
    assert Pairings(own_home / "edge").all() == []


def test_a_code_that_is_asked_for_and_a_worker_that_runs_use(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n", encoding="utf-8"
    )
    away = own_home / "worker"
    away.mkdir()
    with serve(home=away, cwd=tmp_path) as worker:
        at_worker = CommandLine({"GRAPHFERRY_HOME": str(away)}, tmp_path)
        printed = at_worker("serve", "pair").stdout
        code = printed.split()[3]
        outcome = cli("pair", worker.url, "--name", "here", stdin=code + "\n")
        assert outcome.status == 0, outcome.stderr
        assert "runs use it from now on" in outcome.stdout
        assert code not in outcome.stdout + outcome.stderr
        assert cli("run", "g.yaml").stdout == "You said: hi\n"
        again = cli("pair", worker.url, code)
        assert again.status == 1
        assert "wrong, used up or expired" in again.stderr
        assert cli("run", "g.yaml").status == 0, "what was paired stays so"
        other = cli("pair", worker.url, at_worker("serve", "pair").stdout.split()[3], GRAPHFERRY_CLOUD="ws://x/")
        assert "runs use ws://x/ as before" in other.stdout
