"""The builder by itself: what readers push becomes data, marks and problems."""

from __future__ import annotations

import pytest

from graphs.errors import GraphInvalid
from graphs.language.builder import Builder, key_text, unfit


def test_pushes_become_data_and_marks() -> None:
    builder = Builder("{a: [1, 2]}", "x.yaml")
    builder.open_map(0, 1)
    builder.scalar("a", 1, 2)
    builder.open_list(4, 5)
    builder.scalar(1, 5, 6)
    builder.scalar(2, 8, 9)
    builder.close(10)
    builder.close(11)
    data, marks = builder.finish()
    assert data == {"a": [1, 2]}
    assert marks.where(("a", 1)) == (1, 9, 1)
    assert (marks.file, marks.problems) == ("x.yaml", ())


def test_a_problem_knows_the_path_it_came_up_at() -> None:
    builder = Builder("x" * 20, "x.yaml")
    builder.open_map(0, 1)
    builder.scalar("a", 1, 2)
    builder.open_list(2, 3)
    builder.scalar("fine", 3, 7)
    builder.scalar(float("nan"), 8, 9)
    with pytest.raises(GraphInvalid) as caught:
        builder.alias("b", 10, 12)
    assert [(each.code, each.path, each.file, each.column) for each in caught.value.problems] == [
        ("GF110", ("a", 1), "x.yaml", 9),
        ("GF101", ("a", 2), "x.yaml", 11),
    ]


def test_an_anchored_key_can_be_used_again() -> None:
    builder = Builder("x" * 20)
    builder.open_map(0, 1)
    builder.scalar("a", 1, 2, anchor="key")
    builder.alias("key", 3, 5)
    builder.close(6)
    assert builder.finish()[0] == {"a": "a"}


def test_only_a_key_merges() -> None:
    builder = Builder("x" * 20)
    assert not builder.merge_key()
    builder.open_list(0, 1)
    assert not builder.merge_key()
    builder.open_map(1, 2)
    assert builder.merge_key()
    assert not builder.merge_key()


@pytest.mark.parametrize(("key", "text"), [(None, ""), (True, "true"), (1, "1"), (2.0, "2"), (1e21, "1e+21"), (-0.5, "-0.5")])
def test_keys_as_text(key: object, text: str) -> None:
    assert key_text(key) == text


@pytest.mark.parametrize("value", [None, True, 0, 2**64 - 1, -(2**63), 1.5, "x", "\U0001f600"])
def test_what_fits(value: object) -> None:
    assert unfit(value) == ""


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        (float("inf"), "Infinity"),
        (float("nan"), "NaN"),
        ("\udfff", "half a surrogate"),
    ],
)
def test_what_does_not(value: object, says: str) -> None:
    assert says in unfit(value)
