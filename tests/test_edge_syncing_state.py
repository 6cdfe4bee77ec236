"""How a run stands, in words and as data."""

from __future__ import annotations

import json

from conftest import CommandLine
from edge.syncing.spool import ToGo
from edge.syncing.state import RunState
from graphs.environment import ExitStatus
from graphs.journal.ids import run_id_text

RUN, OTHER = bytes(range(16)), bytes(range(16, 32))
NEEDS = "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hello}}\n"


def test_there_is_no_word_of_what_is_usual() -> None:
    assert RunState(marked=True).words() == []


def test_each_thing_worth_a_word_has_one() -> None:
    state = RunState(True, ToGo(3, 500), True, ("a", "b", "c", "d"), RUN, (OTHER,))
    text = "; ".join(state.words())
    assert "waits for a worker; ahead by 3; degraded: a, b, c and 1 more; upgraded by 10111213" in text
    assert "upgrade of 00010203" in text
    assert state.as_json() == {
        "marked": True,
        "ahead": 3,
        "bytes": 500,
        "waits": True,
        "cut_off": False,
        "in_doubt": [],
        "holder": None,
        "degraded": ["a", "b", "c", "d"],
        "upgrade_of": run_id_text(RUN),
        "upgraded_by": [run_id_text(OTHER)],
    }


def test_a_run_whose_process_died_is_not_said_to_wait() -> None:
    state = RunState(waits=True, cut_off=True)
    assert state.words() == []
    assert (state.as_json()["waits"], state.as_json()["cut_off"]) == (True, True)
    assert RunState(waits=True, answered=True).words() == ["has an answer"]
    assert RunState(holder=bytes(range(8))).words() == ["held by the store 0001020304050607"]
    assert RunState(in_doubt=("pay", "post#2")).words() == ["asks what became of pay, post#2"]


def test_the_list_says_what_waits_and_what_goes_out(cli: CommandLine) -> None:
    (cli.cwd / "g.yaml").write_text(NEEDS)
    assert cli("run", "g.yaml", "--offline", "--sync").status == ExitStatus.UNREACHABLE
    (entry,) = json.loads(cli("runs", "--json").stdout)
    assert (entry["marked"], entry["waits"], entry["degraded"]) == (True, True, [])
    assert entry["ahead"] >= 2
    assert entry["bytes"] > 0
    assert f"(waits for a worker; ahead by {entry['ahead']})" in cli("runs").stdout
    status = cli("sync", "--status")
    assert f"ahead by {entry['ahead']} records" in status.stdout
