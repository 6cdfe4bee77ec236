"""Text agents beyond their samples."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn, strategies as st

from agent_context import context, run
from graphs.agents import text
from graphs.errors import NodeError
from graphs.values import MISSING


class TestTemplate:
    def fill(self, template: Any, **inputs: Any) -> Any:
        return run(text.string_template_agent, context(inputs, {"template": template}))

    def test_every_pattern_is_filled_once(self) -> None:
        assert self.fill("${a}${a} ${b}", a="${b}", b="x") == "${b}${b} x"

    def test_a_pattern_alone_keeps_the_kind(self) -> None:
        assert self.fill({"k": ["${a}", " ${a}"]}, a=[1, 2]) == {"k": [[1, 2], " 1,2"]}

    def test_values_become_text_as_in_templates(self) -> None:
        assert self.fill("${a} ${b} ${c} ${d}", a={"x": 1}, b=None, c=MISSING, d=1.0) == '{"x":1} null undefined 1'

    def test_names_may_hold_anything(self) -> None:
        assert self.fill("${a.b} ${a|b} ${${x}", **{"a.b": 1, "a|b": 2, "${x": 3}) == "1 2 3"

    def test_what_is_no_text_stays(self) -> None:
        assert self.fill([1, None, True], a=1) == [1, None, True]

    def test_without_inputs_the_template_stays(self) -> None:
        assert self.fill("${a}") == "${a}"

    def test_without_template_and_text_there_is_no_value(self) -> None:
        assert run(text.string_template_agent, context({"text": ""})) is MISSING

    @drawn(st.dictionaries(st.text("ab$}{", min_size=1, max_size=4), st.text("${}abc", max_size=6), min_size=1, max_size=4))
    def test_filling_is_one_pass(self, inputs: dict[str, str]) -> None:
        names = sorted(inputs, key=len, reverse=True)
        for name in names:
            assert self.fill(f"<${{{name}}}>", **inputs) == f"<{inputs[name]}>"


class TestSplitter:
    @drawn(st.text(max_size=60), st.integers(1, 20), st.integers(0, 19))
    def test_pieces_overlap_and_cover(self, source: str, size: int, overlap: int) -> None:
        params = {"chunkSize": size, "overlap": min(overlap, size - 1)}
        got = run(text.string_splitter_agent, context({"text": source}, params))
        step = size - params["overlap"]
        assert got["count"] == len(got["contents"]) == len(source) // step + 1
        assert "".join(piece[:step] for piece in got["contents"]) == source

    @pytest.mark.parametrize("params", [{"chunkSize": 4, "overlap": 4}, {"chunkSize": 0}, {"chunkSize": 4, "overlap": -1}])
    def test_pieces_that_do_not_advance_are_refused(self, params: dict[str, int]) -> None:
        with pytest.raises(NodeError, match="overlap must be at least 0 and smaller"):
            run(text.string_splitter_agent, context({"text": "abc"}, params))

    def test_sizes_are_whole(self) -> None:
        with pytest.raises(NodeError, match="chunkSize must be a whole number"):
            run(text.string_splitter_agent, context({"text": "abc"}, {"chunkSize": "8"}))


@pytest.mark.parametrize("agent", [text.string_splitter_agent, text.string_case_variants_agent], ids=lambda each: each.name)
def test_text_is_needed(agent: Any) -> None:
    with pytest.raises(NodeError, match=f"{agent.name}: namedInputs.text is not text"):
        run(agent, context({"text": 5}))


def test_case_variants_of_nothing_and_of_a_known_suffix() -> None:
    assert run(text.string_case_variants_agent, context({"text": ""}))["lowerCamelCase"] == ""
    assert run(text.string_case_variants_agent, context({"text": "my agent"}, {"suffix": "agent"}))["kebabCase"] == "my-agent"


@pytest.mark.parametrize("new", ["", 0, None, False, [], MISSING])
def test_new_text_that_counts_as_none(new: Any) -> None:
    assert run(text.string_update_text_agent, context({"newText": new, "oldText": "old"})) == {"text": "old"}


@pytest.mark.parametrize(
    ("inputs", "data"), [({"text": "5"}, 5), ({"text": 5}, 5), ({"text": "null"}, None), ({"data": 0, "text": "1"}, 1)]
)
def test_json_text_is_read(inputs: dict[str, Any], data: Any) -> None:
    assert run(text.json_parser_agent, context(inputs)) == {"data": data}


@pytest.mark.parametrize("inputs", [{}, {"text": "{oops"}, {"text": "```\n{oops\n```"}])
def test_bad_json_fails_and_may_be_retried(inputs: dict[str, Any]) -> None:
    with pytest.raises(NodeError, match="not JSON") as caught:
        run(text.json_parser_agent, context(inputs))
    assert caught.value.retryable


def test_console_prints_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(text.console_agent, context({"text": [1, "é"]})) == {"text": [1, "é"]}
    assert run(text.console_agent, context()) == {}
    assert capsys.readouterr() == ("", "1,é\nundefined\n")
