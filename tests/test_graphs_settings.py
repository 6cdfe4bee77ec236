"""Configuration files: what is wrong in one is told with its place, and with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import CommandLine
from graphs.errors import UsageError
from graphs.settings import read_settings, unknown_entry


def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("offline: true\ncloud: [\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"config\.yaml, line 3, column 1: "):
        read_settings(path)


def test_a_file_that_is_not_there_is_told_without_numbers_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: No such file or directory$"):
        read_settings(tmp_path / "missing.yaml")


def test_an_entry_that_there_is_not_may_have_been_meant_otherwise() -> None:
    assert unknown_entry("f", "cluod", ("cloud", "models")).hint == "Did you mean 'cloud'?"
    assert unknown_entry("f", "colour", ("models",)).hint is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("serve", "--config", "missing.yaml"), "missing.yaml cannot be read: No such file"),
        (("serve", "--token-file", "missing"), "--token-file missing cannot be read: No such file"),
        (("run", "g.yaml", "--agents", "missing.py"), "--agents missing.py: cannot be imported: No such file"),
        (("run", "g.yaml", "--set", "a=@missing"), "cannot read missing: No such file"),
        (("run", "g.yaml", "--cloud", "http://localhost:1"), "is not a link URL"),
        (("plan", "g.yaml", "--cloud", "localhost"), "is not a link URL"),
    ],
)
def test_wrong_names_are_told_in_words_before_anything_starts(
    cli: CommandLine, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes: {a: {value: 1}, b: {agent: copyAgent, inputs: {x: :a}}}\n", encoding="utf-8"
    )
    outcome = cli(*words)
    assert outcome.status == 2
    assert told in outcome.stderr
    assert "Errno" not in outcome.stderr
    assert "no runs yet" in cli("runs").stdout
