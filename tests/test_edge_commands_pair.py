from __future__ import annotations

import io
from pathlib import Path

import pytest

from conftest import CommandLine
from edge.config import load_config
from edge.pairings import Pairings, link_url
from graphs.environment import Environment
from processes import serve


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["worker:8765", "ABCD-EFGH-JKMN-PQRS"], "not a link URL"),
        (["wss://127.0.0.1:1", "CANARY"], "no pairing code"),
        (["ws://worker:8765", "ABCD-EFGH-JKMN-PQRS"], "not encrypted"),
        (["wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--fingerprint", "sha256:1"], "no fingerprint"),
        (["wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--name", "a\nb"], "--name"),
        (["wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--as", "wss://h"], "is no URL"),
        (["wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--as", "cloud"], "means something else already"),
        (["wss://127.0.0.1:1"], "no code was given"),
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
    assert "the worker at ws://127.0.0.1:1/v1/link cannot be reached: Connection refused" in outcome.stderr
    assert "--offline" not in outcome.stderr
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
        outcome = cli("pair", worker.url, "--name", "here", "--as", "our-worker", stdin=code + "\n")
        assert outcome.status == 0, outcome.stderr
        assert "runs use it from now on" in outcome.stdout
        assert code not in outcome.stdout + outcome.stderr
        assert cli("run", "g.yaml").stdout == "You said: hi\n"
        assert Pairings(own_home / "edge").names() == {"our-worker": link_url(worker.url)}
        other = cli("pair", "wss://127.0.0.1:1", "ABCD-EFGH-JKMN-PQRS", "--as", "our-worker")
        assert (other.status, "means something else already" in other.stderr) == (2, True)
        (own_home / "edge" / "config.yaml").write_text("sensitivity: {internal: [edge, our-worker]}\n", encoding="utf-8")
        config = load_config(
            Environment(io.StringIO(), io.StringIO(), io.StringIO(), {"GRAPHFERRY_HOME": str(own_home)}, tmp_path)
        )
        assert config.clearance.may(["internal"], "cloud")
        again = cli("pair", worker.url, code)
        assert again.status == 1
        assert "wrong, used up or expired" in again.stderr
        assert cli("run", "g.yaml").status == 0, "what was paired stays so"
        other = cli("pair", worker.url, at_worker("serve", "pair").stdout.split()[3], GRAPHFERRY_CLOUD="ws://x/")
        assert "runs use ws://x/ as before" in other.stdout
