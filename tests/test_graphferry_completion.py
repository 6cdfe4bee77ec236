"""The scripts of `graphferry completion`, in the shells that they are for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CommandLine
from graphferry.cli import COMMANDS

BASH = """
source ./script
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_graphferry
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does at a press of the key, without one."""

ZSH = """
compdef() { : }
compadd() { shift; print -rl -- "$@" }
_files() { print -rl -- ${words[CURRENT]}*(N) }
_describe() { local name=${@[-1]}; print -rl -- ${(P)name%%:*} }
source ./script
words=("$@")
CURRENT=$#
_graphferry
"""
"""zsh filters what it is offered by what was typed; so does the test."""

FISH = 'source ./script; complete -C "$argv"'

GRAPH = "version: 0.5\nnodes: {a: {agent: copyAgent, isResult: true, inputs: {x: 1}}}\n"


@pytest.fixture(params=["bash", "zsh", "fish"])
def offers(request: pytest.FixtureRequest, cli: CommandLine, tmp_path: Path, own_home: Path) -> Callable[..., set[str]]:
    """What the shell offers for the last of some words."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(cli("completion", shell).stdout, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "graphferry"  # the one of this environment, whatever is on the path
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m graphferry "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def asked(*words: str) -> set[str]:
        line = ("graphferry", *words)
        command = {
            "bash": ["bash", "--norc", "-c", BASH, "bash", *line],
            "zsh": ["zsh", "-f", "-c", ZSH, "zsh", *line],
            "fish": ["fish", "--no-config", "-c", FISH, " ".join(line)],
        }[shell]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True, timeout=120)
        assert done.stderr == ""
        found = {each.partition("\t")[0] for each in done.stdout.splitlines() if each}
        return {each for each in found if each.startswith(words[-1])}

    return asked


def test_commands_options_values_and_files_are_offered(offers: Callable[..., set[str]], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GRAPH, encoding="utf-8")
    assert offers("ru") == {"run", "runs"}
    assert offers("") >= set(COMMANDS)
    assert offers("run", "--pro") == {"--progress"}
    assert offers("run", "--progress", "") == {"auto", "tty", "plain", "json", "quiet"}
    assert offers("run", "mi") == {"mine.yaml"}
    assert offers("check", "--agents", "mi") == {"mine.yaml"}
    assert offers("runs", "ex") == {"export"}
    assert "--cloud" in offers("runs", "cancel", "--")
    assert "--cloud" not in offers("runs", "export", "--")
    assert offers("serve", "dev") == {"devices"}


def test_runs_are_offered_by_their_ids(offers: Callable[..., set[str]], cli: CommandLine, tmp_path: Path) -> None:
    assert offers("resume", "0") == set()
    (tmp_path / "mine.yaml").write_text(GRAPH, encoding="utf-8")
    run = json.loads(cli("run", "mine.yaml", "--json").stdout)["run"]
    for words in (("resume",), ("runs", "show"), ("audit",)):
        assert offers(*words, run[:4]) == {run}


def test_ids_are_printed_one_a_line_the_newest_first(cli: CommandLine, tmp_path: Path) -> None:
    assert cli("completion", "runs").stdout == ""
    (tmp_path / "mine.yaml").write_text(GRAPH, encoding="utf-8")
    made = [json.loads(cli("run", "mine.yaml", "--json").stdout)["run"] for _ in range(2)]
    assert cli("completion", "runs").stdout.splitlines() == made[::-1]


def test_a_shell_that_nobody_knows_is_refused_with_those_that_there_are(cli: CommandLine) -> None:
    outcome = cli("completion", "tcsh")
    assert outcome.status == 2
    assert "fish" in outcome.stderr
