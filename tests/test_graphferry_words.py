from __future__ import annotations

import pytest

from graphferry.words import Words
from graphs.errors import UsageError


def parser() -> Words:
    words = Words(prog="graphferry run")
    words.add_argument("graph")
    words.add_argument("--offline", action="store_true")
    words.add_argument("--limit", type=int)
    show = words.add_subparsers().add_parser("show")
    show.add_argument("run", nargs=2)
    show.add_argument("--force", action="store_true")
    return words


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["g", "show", "a", "b", "--ofline"],
            "graphferry run: unrecognized arguments: --ofline",
            "Did you mean --offline? graphferry run --help shows the options.",
        ),
        (
            ["g", "show", "a", "b", "--forse"],
            "graphferry run: unrecognized arguments: --forse",
            "Did you mean --force? graphferry run --help shows the options.",
        ),
        (
            ["g", "show", "a", "b", "--offline"],
            "graphferry run: unrecognized arguments: --offline",
            "It is an option of graphferry run. graphferry run --help shows the options.",
        ),
        (
            ["g", "show", "a", "b", "--xyzzy=1"],
            "graphferry run: unrecognized arguments: --xyzzy=1",
            "graphferry run --help shows the options.",
        ),
        (
            ["g", "--limit", "many"],
            "graphferry run: argument --limit: invalid int value: 'many'",
            "graphferry run --help shows the options.",
        ),
        (
            ["g", "show"],
            "graphferry run graph show: the following arguments are required: run",
            "graphferry run graph show --help shows the options.",
        ),
    ],
)
def test_wrong_words_are_one_line_and_what_to_do(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parser().parse_args(words)
    assert (caught.value.message, caught.value.hint) == (message, hint)
