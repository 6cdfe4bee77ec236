"""The examples with a real model: what it says is its own affair, but the shape of what comes back is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine

pytestmark = [pytest.mark.real_model, pytest.mark.usefixtures("home_with_model")]

EXAMPLES = Path(__file__).resolve().parent.parent / "graphs" / "examples"
MODEL = "smollm2-135m"


def run(cli: CommandLine, name: str, *words: str) -> dict[str, Any]:
    """What `--json` tells of a run of an example that completed."""
    outcome = cli("run", str(EXAMPLES / f"{name}.yaml"), "--json", *words)
    assert outcome.status == 0, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)
    return report


def asked(report: dict[str, Any], end: str) -> list[dict[str, Any]]:
    """What is told of the nodes whose path, turns aside, ends like this; each has to have asked the real model."""
    nodes = [node for path, node in report["nodes"].items() if re.sub(r"#\d+", "", path).endswith(end)]
    for node in nodes:
        assert node["by"]["model"] == MODEL
        assert len(node["by"]["digest"]) == 64
        assert node["usage"]["completion_tokens"] > 0
    return nodes


def is_said(text: object) -> bool:
    return isinstance(text, str) and text.strip() != ""


def test_chat(cli: CommandLine) -> None:
    report = run(cli, "chat")
    messages = report["results"]["messages"]
    assert [each["role"] for each in messages] == ["system", *["user", "assistant"] * 3]
    assert all(is_said(each["content"]) for each in messages)
    assert len(asked(report, "reply")) == 3


def test_map_models(cli: CommandLine) -> None:
    report = run(cli, "map_models")
    answers = report["results"]["comparison"]["answers"]
    assert [(each["model"], each["temperature"]) for each in answers] == [(MODEL, 0), (MODEL, 0.7), (MODEL, 1.5)]
    assert all(is_said(each["text"]) for each in answers)
    assert len(asked(report, "/ask")) == 3


def test_interviewer(cli: CommandLine) -> None:
    report = run(cli, "interviewer")
    transcript = report["results"]["transcript"]
    assert [each["speaker"] for each in transcript] == ["interviewer", "interviewee"] * 3
    assert [each["turn"] for each in transcript] == [0, 0, 1, 1, 2, 2]
    assert all(is_said(each["text"]) for each in transcript)
    assert len(asked(report, "interviewee")) == 3


def test_meta(cli: CommandLine) -> None:
    report = run(cli, "meta")
    assert set(report["results"]["result"]) == {"text"}
    assert is_said(report["results"]["result"]["text"])
    assert len(asked(report, "result/draft")) == len(asked(report, "result/final")) == 1


def test_retrieve(cli: CommandLine) -> None:
    report = run(cli, "retrieve")
    result = report["results"]["result"]
    assert is_said(result["text"])
    scores = [each["score"] for each in result["found"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1.000001 and is_said(each["text"]) for score, each in zip(scores, result["found"], strict=True))
    assert len(asked(report, "answer")) == 1
    (passages,) = (node for path, node in report["nodes"].items() if path == "passages")
    assert passages["by"]["model"] == MODEL
    assert passages["usage"]["prompt_tokens"] > 100


def test_tools(cli: CommandLine) -> None:
    report = run(cli, "tools")
    assistant = report["results"]["assistant"]
    assert assistant["stopped"] in ("answer", "limit")
    assert 2 <= assistant["turns"] <= 4
    assert assistant["calls"], "the first turn has to call a tool"
    for call in assistant["calls"]:
        assert call["name"] in ("price", "sum")
        assert ("result" in call) != ("error" in call)
        if call["name"] == "price":
            assert call["arguments"]["namedKey"] in ("adult", "child", "bicycle", "car")
            assert call["result"] in (3, 1, 0, 9)
    assert {each["role"] for each in assistant["messages"]} >= {"system", "user", "assistant", "tool"}
    assert len(asked(report, "assistant")) == 1
