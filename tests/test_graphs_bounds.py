from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphs.bounds import TRUSTED, UNTRUSTED, limits, with_limits
from graphs.errors import UsageError

SAFETY = Path(__file__).parents[1] / "docs" / "safety.md"


def shown(number: float | None) -> str:
    return "none" if number is None else f"{number:,}"


def test_the_document_has_every_limit_with_its_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \| (.+) \|$", SAFETY.read_text(), re.MULTILINE)
    wanted = [(name, shown(getattr(UNTRUSTED, name)), shown(getattr(TRUSTED, name)), said) for name, said in limits().items()]
    assert rows == wanted


def test_limits_come_as_words_or_as_a_map() -> None:
    words = with_limits(UNTRUSTED, ["turns=5", "seconds=0.5", "rows=none", "nodes=1_000"], where="--limit")
    assert (words.turns, words.seconds, words.rows, words.nodes) == (5, 0.5, None, 1000)
    assert with_limits(UNTRUSTED, {"turns": 5, "rows": None}, where="x").turns == 5
    assert with_limits(UNTRUSTED, {}, where="x") is UNTRUSTED


@pytest.mark.parametrize(
    "word", ["turns", "turn=5", "turns=0", "turns=-1", "turns=1.5", "turns=x", "seconds=inf", "seconds=nan", "every_value=1"]
)
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        with_limits(UNTRUSTED, [word], where="--limit")
