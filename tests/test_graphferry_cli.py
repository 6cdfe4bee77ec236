from __future__ import annotations

import argparse
import io
import os
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import graphferry.cli
from conftest import CommandLine
from graphferry import __version__
from graphferry.cli import COMMANDS, PLANNED, Command, main
from graphferry.usage import VARIABLES
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError


class Echo(ModuleType):
    """A command that prints its arguments, or raises what a test wants to see handled."""

    raises: BaseException | None = None
    status: int = 0

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("words", nargs="*")
        parser.add_argument("--loud", action="store_true", help="louder")

    def main(self, args: argparse.Namespace, env: Environment) -> int:
        env.stdout.write(f"{args.words} {args.loud}\n")
        if self.raises is not None:
            raise self.raises
        return self.status


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    module = Echo("echo_command")
    monkeypatch.setitem(sys.modules, "echo_command", module)
    monkeypatch.setitem(graphferry.cli.COMMANDS, "echo", Command("echo_command", "say it again"))
    return module


def test_a_command_gets_its_words_and_its_status_is_the_exit_status(cli: CommandLine, echo: Echo) -> None:
    echo.status = 3
    outcome = cli("echo", "a", "b", "--loud")
    assert (outcome.status, outcome.stdout, outcome.stderr) == (3, "['a', 'b'] True\n", "")


def test_version(cli: CommandLine) -> None:
    assert cli("--version").stdout == f"graphferry {__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command_and_every_exit_status(cli: CommandLine, words: list[str]) -> None:
    outcome = cli(*words)
    assert outcome.status == ExitStatus.COMPLETED
    for name, command in COMMANDS.items():
        assert f"  {name} " in outcome.stdout
        assert command.help in outcome.stdout
    for status in ExitStatus:
        assert f"{status.value}  {status.meaning}" in outcome.stdout
    for variable in VARIABLES:
        assert f"  {variable} " in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 100


def test_without_a_command_the_help_goes_to_stderr(cli: CommandLine) -> None:
    outcome = cli()
    assert outcome.status == ExitStatus.USAGE
    assert outcome.stdout == ""
    assert "usage: graphferry" in outcome.stderr


@pytest.mark.parametrize("words", [["echo", "--help"], ["help", "echo"]])
def test_help_of_a_command_goes_to_the_given_stdout(cli: CommandLine, echo: Echo, words: list[str]) -> None:
    outcome = cli(*words)
    assert outcome.status == ExitStatus.COMPLETED
    assert "usage: graphferry echo" in outcome.stdout
    assert "Say it again." in outcome.stdout
    assert "louder" in outcome.stdout


def test_wrong_words_are_a_usage_error_on_the_given_stderr(cli: CommandLine, echo: Echo) -> None:
    outcome = cli("echo", "--quiet")
    assert (outcome.status, outcome.stdout) == (ExitStatus.USAGE, "")
    assert "unrecognized arguments: --quiet" in outcome.stderr


def test_an_unknown_command_is_told_what_it_may_have_meant(cli: CommandLine) -> None:
    outcome = cli("rum", "g.yaml")
    assert outcome.status == ExitStatus.USAGE
    assert "unknown command 'rum'" in outcome.stderr
    assert "did you mean `graphferry run`?" in outcome.stderr


def test_a_command_like_no_other_is_pointed_to_the_help(cli: CommandLine) -> None:
    assert "graphferry --help lists the commands" in cli("xyzzy").stderr


def test_an_unknown_option_is_not_called_a_command(cli: CommandLine) -> None:
    outcome = cli("--colour")
    assert outcome.status == ExitStatus.USAGE
    assert "unknown option --colour" in outcome.stderr


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_planned_commands_say_that_they_are_not_built_yet(cli: CommandLine, name: str) -> None:
    outcome = cli(name)
    assert outcome.status == ExitStatus.USAGE
    assert "not yet in this version" in outcome.stderr


def test_debug_may_stand_anywhere_and_shows_the_trace(cli: CommandLine, echo: Echo) -> None:
    echo.raises = UsageError("no such node", hint="check the name")
    for words in (["--debug", "echo", "a"], ["echo", "a", "--debug"]):
        outcome = cli(*words)
        assert outcome.stdout == "['a'] False\n"
        assert "Traceback" in outcome.stderr
        assert outcome.stderr.endswith("error: no such node\n  check the name\n")
    assert "Traceback" in cli("echo", GRAPHFERRY_DEBUG="1").stderr
    assert "Traceback" not in cli("echo", GRAPHFERRY_DEBUG="0").stderr


def test_debug_after_two_dashes_is_a_word_like_any_other(cli: CommandLine, echo: Echo) -> None:
    assert cli("echo", "--", "--debug").stdout == "['--debug'] False\n"


def test_layers_of_another_distribution_are_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    other = ModuleType("cloud")
    other.__file__ = "/elsewhere/cloud/__init__.py"
    monkeypatch.setitem(sys.modules, "cloud", other)
    assert cli("--help").status == ExitStatus.FAILED
    message = capsys.readouterr().err
    assert "another package named 'cloud' at /elsewhere/cloud/__init__.py hides its own" in message


def test_version_in_a_process_of_its_own_starts_quickly(record_property: Any) -> None:
    """The time is measured and kept with the report; what is asserted is its cause: no import beyond the facade."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "graphferry", "--version"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    record_property("cpu_ms", 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    assert done.stdout == f"graphferry {__version__}\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in imported if name.startswith("graphferry")} == {"graphferry", "graphferry.cli"}
    assert not imported & {
        "argparse",
        "asyncio",
        "dataclasses",
        "graphs",
        "httpx",
        "llama_cpp",
        "msgpack",
        "rich",
        "websockets",
        "yaml",
    }


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (("graph", "g.yaml"), {"asyncio", "sqlite3", "edge.config"}),
        (("check", "g.yaml"), {"sqlite3", "edge.device"}),
        (("models",), {"edge.runs.runner", "graphs.engine.engine"}),
        (("runs",), {"edge.device", "edge.runs.runner"}),
    ],
)
def test_commands_import_no_more_than_they_need(
    tmp_path: Path, own_home: Path, words: tuple[str, ...], unneeded: set[str]
) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: copyAgent, inputs: {x: 1}}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "graphferry", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & unneeded


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_reads_the_output_any_more(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "graphferry", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (ExitStatus.PIPE_CLOSED, "")


def test_a_folder_that_is_gone_is_named_as_the_reason(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        f"rmdir '{gone}'; exec {sys.executable} -m graphferry runs",
        shell=True,
        cwd=gone,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (ExitStatus.FAILED, "")
    assert done.stderr == "error: the current folder is not there any more\n  Change to another one: cd\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_exists_and_explains_itself(cli: CommandLine, name: str) -> None:
    module = import_module(COMMANDS[name].module)
    assert callable(module.main)
    outcome = cli(name, "--help")
    assert (outcome.status, outcome.stderr) == (ExitStatus.COMPLETED, "")
    assert f"usage: graphferry {name}" in outcome.stdout


def test_main_takes_the_words_of_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["graphferry", "--version"])
    out = io.StringIO()
    assert main(env=Environment(io.StringIO(), out, io.StringIO())) == 0
    assert out.getvalue() == f"graphferry {__version__}\n"
