from __future__ import annotations

import io
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from edge.commands.options import add_run_options, duration, parse_sets, run_options
from edge.config import EdgeConfig
from edge.placing.facts import Sayings
from edge.runs.runner import RunOptions
from graphs.environment import Environment
from graphs.errors import UsageError


def env(folder: Path) -> Environment:
    return Environment(io.StringIO(), io.StringIO(), io.StringIO(), {}, folder)


def options(*words: str, earlier: dict[str, Any] | None = None, **config: Any) -> RunOptions:
    parser = ArgumentParser()
    parser.add_argument("--place", action="append", default=[])
    parser.add_argument("--strict", action="store_true")
    add_run_options(parser)
    return run_options(parser.parse_args(words), EdgeConfig(home=Path(), **config), earlier=earlier or {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("2h", 7200), ("500ms", 0.5), ("1.5", 1.5), ("0.1s", 0.1)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


def test_what_nodes_do_offline_is_said_of_all_and_of_some() -> None:
    said = options(
        "--when-offline", "fail", "--when-offline", "a=local", "--when-offline", "x=y=wait", when_offline="local"
    ).when_offline
    assert (said.every, said.nodes, said.device) == ("fail", {"a": "local", "x=y": "wait"}, "local")
    assert options().when_offline == Sayings()


def test_a_resumed_run_keeps_what_was_said_unless_it_is_said_anew() -> None:
    earlier = options("--when-offline", "fail", "--when-offline", "a=local").as_record()
    assert options(earlier=earlier).when_offline == Sayings({"a": "local"}, "fail")
    assert options("--when-offline", "local", "--when-offline", "b=wait", earlier=earlier).when_offline == Sayings(
        {"a": "local", "b": "wait"}, "local"
    )


@pytest.mark.parametrize("word", ["later", "a=", "=wait", "a=later", ""])
def test_a_policy_that_is_none_says_what_there_is(word: str) -> None:
    with pytest.raises(UsageError, match="expected wait, local or fail"):
        options("--when-offline", word)


@pytest.mark.parametrize("text", ["", "s", "0", "-1s", "5 minutes", "1w", "nan", "inf", "1e999"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        duration(text)


def test_values_are_json_else_text_and_files_are_text(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("größe\n", encoding="utf-8")
    sets = ["a=1", "b=[1, 2]", "c=words", 'd="quoted"', "e=", "f=@f.txt", "g=x=y", "h=null"]
    assert parse_sets(sets, env(tmp_path)) == {
        "a": 1,
        "b": [1, 2],
        "c": "words",
        "d": "quoted",
        "e": "",
        "f": "größe\n",
        "g": "x=y",
        "h": None,
    }


@pytest.mark.parametrize(
    ("each", "told"), [("a", "expected NODE=VALUE"), ("=1", "expected NODE=VALUE"), ("a=@nowhere", "cannot read nowhere")]
)
def test_a_value_that_is_none_says_so(tmp_path: Path, each: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_sets([each], env(tmp_path))


@pytest.mark.parametrize("each", ["n", "n=moon", "n="])
def test_a_place_that_is_none_says_so(each: str) -> None:
    with pytest.raises(UsageError, match=r"expected NODE=edge or NODE=cloud"):
        options("--place", each)


def test_the_command_line_wins_over_the_configuration() -> None:
    assert options(url="ws://a/").url == "ws://a/"
    assert options("--cloud", "ws://b/", url="ws://a/").url == "ws://b/"
    assert options(offline=True).offline
    assert options("--offline").offline
    assert options("--place", "a=cloud", "--place", "b=edge").pinned == {"a": "cloud", "b": "edge"}


def test_a_resumed_run_keeps_what_it_began_with_unless_told_otherwise() -> None:
    began = options("--place", "a=cloud", "--strict", "--max-turns", "3", "--agents", "mine.py", "--all")
    again = options(earlier=began.as_record())
    assert again.as_record() == began.as_record()
    assert options("--max-turns", "9", "--agents", "other.py", earlier=began.as_record()).max_turns == 9
    assert options("--agents", "other.py", earlier=began.as_record()).agents == ("other.py",)
