"""Sources, helpers and property functions: what never gives a value. That names exist is tested with `check`."""

from __future__ import annotations

import pytest

from graph_texts import OK, checked, graph, places


@pytest.mark.parametrize(
    ("loop", "found", "suggestion"),
    [
        ("{count: 1, whlie: 2}", ("GF104", 2, 18, 5), 'did you mean "while"?'),
        ("{while: ':aa.x'}", ("GF103", 2, 17, 2), 'did you mean "a" (line 4)?'),
        ("{while: ':a.lenght()'}", ("GF153", 2, 15, 13), 'did you mean "length"?'),
    ],
)
def test_what_graphai_overlooks_in_a_loop_is_a_warning(loop: str, found: tuple[str, int, int, int], suggestion: str) -> None:
    problems = checked(graph("a: {value: 1}", OK, loop=loop))
    assert places(problems) == [found]
    assert problems[0].warning
    assert problems[0].suggestion == suggestion


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (":a.equal(x y)", "one word"),
        (":a.equal(a.b)", "dot inside"),
        (":a.default()", "one word"),
        (":a.add(0.5)", "dot inside"),
        (":a.add(x)", "whole number"),
        (":a.slice(a)", "whole numbers"),
        (":a.split(x)", "characters of"),
        (":a.join(, )", "comma"),
        (":a.length(1)", "nothing in its brackets"),
        (":a.sort()", "no function sort()"),
        ("see ${:a.join(--)} there", "comma"),
    ],
)
def test_functions_that_never_give_a_value(source: str, says: str) -> None:
    (problem,) = checked(graph("a: {value: 1}", f'b: {{agent: copyAgent, inputs: {{v: "{source}"}}}}'))
    assert problem.code == "GF153"
    assert problem.warning
    assert says in problem.message


@pytest.mark.parametrize(
    "source",
    [
        *(":a.join()", ":a.join(,)", ":a.join( )", ":a.split(.)", ":a.split(, )", ":a.slice(-2)", ":a.slice(0, 3)", ":a.add(-1)"),
        *(":a.equal(yes/no)", ":a.default(-3)", ":a.keys().$0.toUpperCase()", "${:a.toJSON()}"),
    ],
)
def test_functions_that_do(source: str) -> None:
    assert checked(graph("a: {value: 1}", f'b: {{agent: copyAgent, inputs: {{v: "{source}"}}}}')) == []


def test_an_unknown_helper_is_an_error_only_if_strict() -> None:
    text = graph("b: {agent: copyAgent, inputs: {v: '@maria'}}")
    assert [each.warning for each in checked(text)] == [True]
    assert [each.warning for each in checked(text, strict=True)] == [False]
