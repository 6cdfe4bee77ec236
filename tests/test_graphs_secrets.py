from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.secrets import Secrets, secret_name


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    written(tmp_path, "A: from file\nB: only here\n")
    secrets = Secrets({"A": "from environment", "C": ""}, tmp_path)
    assert [secrets.get(name) for name in "ABC"] == ["from environment", "only here", None]
    assert str(tmp_path / "secrets.yaml") in secrets.places
    assert "from" not in repr(secrets)


def test_without_a_file_there_is_the_environment() -> None:
    assert Secrets({}).get("A") is None
    assert Secrets({}, Path("/nowhere")).get("A") is None
    assert Secrets({"A": "a"}).places == "the environment"


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "A: secret-4711\n", 0o640)
    with pytest.raises(UsageError) as caught:
        Secrets({}, tmp_path).get("A")
    assert caught.value.hint == f"chmod 600 {path}"
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("text", ["A: [sk-4711\n", "- sk-4711\n", "sk-4711: {"])
def test_a_mistake_in_the_file_does_not_show_what_is_in_it(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match="no map of names and texts") as caught:
        Secrets({}, tmp_path).get("A")
    assert "4711" not in "".join(traceback.format_exception(caught.value))
    assert str(path) in caught.value.message


def test_a_secret_is_a_text(tmp_path: Path) -> None:
    written(tmp_path, "A: 4711\n")
    with pytest.raises(UsageError, match="secret A is not a text") as caught:
        Secrets({}, tmp_path).get("A")
    assert "4711" not in str(caught.value)


def test_a_key_is_written_as_the_name_of_a_secret() -> None:
    assert secret_name(None, "here") is None
    assert secret_name({"secret": "MY_KEY"}, "here") == "MY_KEY"
    for wrong in ("sk-4711", {"secret": "sk 4711"}, {"secret": "sk4711", "more": 1}, ["sk-4711"], {}):
        with pytest.raises(UsageError, match="here: a key is written as the name") as caught:
            secret_name(wrong, "here")
        assert "4711" not in str(caught.value)
