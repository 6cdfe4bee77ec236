from __future__ import annotations

import io
from pathlib import Path

import pytest

from conftest import Terminal
from graphs.environment import Environment, ExitStatus


def environment(stderr: io.StringIO | None = None, **environ: str) -> Environment:
    return Environment(io.StringIO(), io.StringIO(), stderr or io.StringIO(), environ, Path("/here"))


@pytest.mark.parametrize("side", ["edge", "cloud", "models"])
def test_home_of_each_side_lies_in_graphferry_home(side: str) -> None:
    assert environment(GRAPHFERRY_HOME="/data").home(side) == Path("/data") / side  # type: ignore[arg-type]


def test_a_relative_home_counts_from_the_current_folder_and_a_tilde_from_the_users() -> None:
    assert environment(GRAPHFERRY_HOME="here").home("edge") == Path("/here/here/edge")
    assert environment(GRAPHFERRY_HOME="~/gf").home("edge") == Path.home() / "gf" / "edge"


def test_without_graphferry_home_files_lie_where_this_system_keeps_them() -> None:
    home = environment().home("models")
    assert home.is_absolute()
    assert home.parts[-2:] == ("graphferry", "models")


def test_stderr_decides_whether_someone_watches() -> None:
    assert not environment().is_tty
    assert environment(Terminal()).is_tty
    assert not environment(Terminal(), TERM="dumb").is_tty


def test_no_color_is_kept() -> None:
    assert environment(Terminal()).colour
    assert not environment(Terminal(), NO_COLOR="1").colour
    assert not environment().colour


def test_debug_is_asked_for_by_a_variable() -> None:
    assert environment(GRAPHFERRY_DEBUG="1").debug
    assert not environment(GRAPHFERRY_DEBUG="0").debug
    assert not environment().debug


def test_the_current_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHFERRY_HOME", "x")
    assert Environment.current().home("cloud") == tmp_path / "x" / "cloud"


def test_exit_statuses_are_those_of_the_contract() -> None:
    assert {status.name: status.value for status in ExitStatus} == {
        "COMPLETED": 0,
        "FAILED": 1,
        "USAGE": 2,
        "SUSPENDED": 3,
        "UNREACHABLE": 4,
        "INTERRUPTED": 130,
        "PIPE_CLOSED": 141,
    }
    assert all(status.meaning for status in ExitStatus)
