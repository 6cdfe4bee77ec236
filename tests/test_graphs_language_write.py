"""Writing: what was written is read back the same, by this reader and by one of YAML 1.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from graphs.language.load import load_file, load_text
from graphs.language.write import to_yaml
from graphs.values import canonical

EXAMPLES = Path(__file__).resolve().parent.parent / "graphs" / "examples"

NASTY = [
    "", " ", "a: b", "a #b", ":a", ":a.b()", "@now", "${:a}", "- a", "? a", "yes", "No", "on", "null", "~", "1", "1.0", "1e3", "0o17", "0x1f",
    "12:30", "1_000", ".inf", "2020-01-01", "=", "<<", "a\nb", "a\nb\n", "a\n\nb", "\na", "a\n", " a\nb", "a \nb", "a\n\tb", "\ta\nb", "a\r\nb",
    "a\x85b", "\u2028", "\ufeff", "\x00", "\x1b[31m", "\ud7ff", "\U0010ffff", "\ufffe", "😀", "ä: ö", "'", '"', "\\", "a,b", "[a]", "{a}", "%a",
    "&a", "*a", "!a", "|", ">", "#", "a:", "---", "...", "--- a", "Write ${:a} of ${:b.c}: now", "true", "é", "a  b", "x" * 200, "{\n}",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_any_text_is_read_back_wherever_it_stands(text: str) -> None:
    document = {
        "key": text,
        "list": [text, text],
        "maps": [{"a": text, "b": text}],
        text: {text: text},
        "last": [[text], {}, [], {"x": [text]}],
    }
    written = to_yaml(document)
    assert load_text(written).data == document
    assert written.endswith("\n")


@pytest.mark.parametrize("number", [0, -1, 2**63, 0.5, -0.0, 1e-7, 1e22, 1.5e300, 123456789.125])
def test_numbers_keep_their_kind(number: float) -> None:
    read = load_text(to_yaml({"a": number, "b": [number]})).data
    assert (read["a"], type(read["a"])) == (number, type(number))
    assert yaml.safe_load(to_yaml({"a": number})) == {"a": number}


def test_long_keys_are_marked() -> None:
    document = {"k" * 3000: {"j" * 3000: [1, {"x": 2}]}}
    assert load_text(to_yaml(document)).data == document


def test_it_is_what_a_person_would_write() -> None:
    document = {
        "version": 0.5,
        "nodes": {
            "topic": {"value": "the tide"},
            "notes": {"value": "one\ntwo\n"},
            "draft": {"agent": "llmAgent", "inputs": {"prompt": "Write about ${:topic}.", "stop": [".", "!"]}, "params": {}},
            "list": {"agent": "copyAgent", "inputs": {"items": [{"a": ":topic", "b": None}, ":draft.text"]}, "isResult": True},
        },
    }
    assert to_yaml(document) == (
        """\
version: 0.5
nodes:
  topic:
    value: the tide
  notes:
    value: |
      one
      two
  draft:
    agent: llmAgent
    inputs:
      prompt: Write about ${:topic}.
      stop: [".", "!"]
    params: {}
  list:
    agent: copyAgent
    inputs:
      items:
        - a: :topic
          b: null
        - :draft.text
    isResult: true
"""
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_read_back(path: Path) -> None:
    document = load_file(path).data
    assert canonical(load_text(to_yaml(document)).data) == canonical(document)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(":#-?${}[],&*'\" \n\t0e."), max_size=12)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, DATA, max_size=4))
def test_any_data_is_read_back(document: dict[str, Any]) -> None:
    read = load_text(to_yaml(document), file="g.yaml").data
    assert read == document
    assert canonical(read) == canonical(document)
