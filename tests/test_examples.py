"""The examples run as their headers say, here with the model that says back what it is told."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import graphferry as gf
from conftest import CommandLine
from graphs.models.interface import GenerationRequest
from graphs.models.scripted import ScriptedModel

EXAMPLES = Path(__file__).resolve().parent.parent / "graphs" / "examples"
OURS = ("hello", "chat", "map_models", "interviewer", "meta", "summarise", "retrieve", "tools", "approval")
MOST_TOKENS = 48


@pytest.fixture(autouse=True)
def scripted_model(own_home: Path) -> None:
    """The tier `small` is the scripted model, in every test here."""
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("models: {small: scripted}\n")


def run(cli: CommandLine, name: str, *words: str) -> dict[str, Any]:
    """What `--json` tells of a run of an example that completed."""
    outcome = cli("run", str(EXAMPLES / f"{name}.yaml"), "--json", *words)
    assert outcome.status == 0, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)
    assert report["status"] == "completed"
    assert {node["place"] for node in report["nodes"].values()} == {"edge"}
    return report


@pytest.mark.parametrize("name", OURS)
def test_the_header_says_what_it_shows_and_how_to_run_it(name: str) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text()
    header = text[: text.index("\nversion:")]
    assert all(line.startswith("#") for line in header.splitlines())
    assert f"graphferry run {name}.yaml" in header


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_it_is_valid_without_a_warning(path: Path, cli: CommandLine) -> None:
    outcome = cli("check", str(path), "--strict")
    assert (outcome.status, outcome.stderr) == (0, "")


@pytest.mark.parametrize("name", OURS)
def test_every_call_of_a_model_is_short(name: str) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text()
    limits = [int(each) for each in re.findall(r'max_tokens"?: (\d+)', text)]
    assert len(limits) == len(re.findall("llmAgent|agent: toolLoopAgent", text))
    assert max(limits) <= MOST_TOKENS


def test_hello_prints_the_answer_and_nothing_else(cli: CommandLine) -> None:
    outcome = cli("run", str(EXAMPLES / "hello.yaml"), "--progress", "quiet")
    assert outcome.status == 0
    assert outcome.stdout == "You said: Say hello to the reader in one short sentence.\n"
    assert outcome.stderr == ""


def test_chat_keeps_what_was_said(cli: CommandLine) -> None:
    messages = run(cli, "chat")["results"]["messages"]
    assert [each["role"] for each in messages] == ["system", *["user", "assistant"] * 3]
    assert messages[3]["content"] == "What is my name?"
    assert messages[4]["content"] == "You said: What is my name?"


def test_chat_takes_other_questions_and_has_a_turn_for_each(cli: CommandLine) -> None:
    report = run(cli, "chat", "--set", 'questions=["one?", "two?"]')
    messages = report["results"]["messages"]
    assert [each["content"] for each in messages[1:]] == ["one?", "You said: one?", "two?", "You said: two?"]
    assert set(report["nodes"]) == {"next", "reply", "next#1", "reply#1"}


def test_map_models_collects_an_answer_for_each_row(cli: CommandLine) -> None:
    report = run(cli, "map_models", "--set", "question=Why?")
    comparison = report["results"]["comparison"]
    assert comparison["question"] == "Why?"
    assert [each["temperature"] for each in comparison["answers"]] == [0, 0.7, 1.5]
    assert {(each["model"], each["text"]) for each in comparison["answers"]} == {("scripted", "You said: Why?")}
    assert [path for path in report["nodes"] if path.endswith("/ask")] == [f"answers[{row}]/ask" for row in range(3)]


def test_the_interview_has_three_turns_of_two(cli: CommandLine) -> None:
    transcript = run(cli, "interviewer")["results"]["transcript"]
    assert [(each["turn"], each["speaker"]) for each in transcript] == [
        (turn, speaker) for turn in range(3) for speaker in ("interviewer", "interviewee")
    ]
    texts = [each["text"] for each in transcript]
    assert texts[0].startswith('You said: Your guest said: "Good morning.')
    for before, after in pairwise(texts):  # each hears what the other said, cut where the model had to stop
        assert before.removeprefix("You said: ")[:30] in after


def test_meta_runs_the_graph_it_made(cli: CommandLine) -> None:
    report = run(cli, "meta", "--set", "task=Count to two.")
    assert {"result/draft", "result/final"} <= set(report["nodes"])
    assert report["results"] == {"result": {"text": "You said: Say this in fewer words: You said: Count to two."}}


def test_meta_fills_in_no_part_of_the_graph_itself(cli: CommandLine) -> None:
    task = 'x"}, "params": {}} ${:task} $& :task'
    text = run(cli, "meta", "--set", f"task={task}")["results"]["result"]["text"]
    assert text.endswith(f"You said: {task}")


def test_meta_says_what_is_wrong_with_a_graph_that_cannot_run(cli: CommandLine) -> None:
    blueprint = '{"version": 0.5, "nodes": {"final": {"agent": "noSuchAgent"}}}'
    outcome = cli("run", str(EXAMPLES / "meta.yaml"), "--set", f"blueprint={json.dumps(blueprint)}", "--progress", "quiet")
    assert outcome.status == 1
    assert "node 'result' failed" in outcome.stderr
    assert "noSuchAgent" in outcome.stderr


def test_summarise_has_a_sentence_for_each_piece(cli: CommandLine) -> None:
    report = run(cli, "summarise")
    pieces = [path for path in report["nodes"] if path.endswith("/summary")]
    assert len(pieces) == 3
    assert report["results"]["summary"]["text"].count("You said: Summarise this text") == len(pieces)


def test_summarise_asks_nothing_about_an_empty_piece(cli: CommandLine) -> None:
    """360 characters a step: the splitter's second piece has nothing in it."""
    report = run(cli, "summarise", "--set", "text=" + "x" * 360)
    assert report["nodes"]["summaries[1]/summary"]["state"] == "skipped"
    assert report["results"]["summary"]["text"].count("You said") == 1


def test_retrieve_answers_from_the_passages_that_share_words_with_the_question(cli: CommandLine) -> None:
    result = run(cli, "retrieve", "--set", "question=Dogs travel free of charge? kept on a lead?")["results"]["result"]
    assert len(result["found"]) == 2
    assert result["found"][0]["text"].startswith("Dogs travel free of charge")
    assert "You said: Text:\nDogs travel free of charge" in result["text"]


def test_retrieve_takes_a_document_of_ones_own(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "handbook.txt").write_text("Cats are not allowed on board.\n\n" + "Something else. " * 100)
    result = run(cli, "retrieve", "--set", "document=@handbook.txt", "--set", "question=Are cats allowed on board?")["results"]
    assert result["result"]["found"][0]["text"].startswith("Cats are not allowed on board.")


def test_approval_waits_for_a_person_and_sends_what_was_agreed_to(cli: CommandLine) -> None:
    path = str(EXAMPLES / "approval.yaml")
    for said, results in (
        ("yes", {"sent": {"text": "You said: Why?"}}),
        ("no", {"kept": {"draft": "You said: Why?"}}),
        ("no, too short", {"kept": {"why": "too short", "draft": "You said: Why?"}}),
    ):
        outcome = cli("run", path, "--json", "--letter", "Why?")
        report = json.loads(outcome.stdout)
        assert (outcome.status, [each["path"] for each in report["questions"]]) == (3, ["decision"])
        assert report["questions"][0]["inputs"] == {"letter": "Why?", "draft": "You said: Why?"}
        assert json.loads(cli("answer", report["run"], "decision", said, "--resume", "--json").stdout)["results"] == results


def test_the_assistant_without_calls_answers_at_once(cli: CommandLine) -> None:
    assistant = run(cli, "tools")["results"]["assistant"]
    assert (assistant["stopped"], assistant["calls"], assistant["turns"]) == ("answer", [], 1)
    assert assistant["text"] == "You said: What do an adult and a child pay together?"


def test_the_assistant_looks_prices_up_and_adds_them() -> None:
    def call(name: str, **arguments: Any) -> dict[str, Any]:
        return {"id": name, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}

    turns: list[Any] = [
        [call("price", namedKey="adult"), call("price", namedKey="child"), call("price", namedKey="ship")],
        [call("sum", array=[3, 1])],
        "Four euros.",
    ]

    def reply(request: GenerationRequest) -> dict[str, Any] | str:
        said = turns.pop(0)
        return {"content": "", "tool_calls": said} if isinstance(said, list) else str(said)

    model = ScriptedModel(rules=[(lambda request: True, reply)])
    assistant = gf.run(EXAMPLES / "tools.yaml", models=model).require()["assistant"]
    assert [call.get("result", call.get("error", {}).get("code")) for call in assistant["calls"]] == [
        3,
        1,
        "TOOL_CALL_INVALID",
        4,
    ]
    assert (assistant["text"], assistant["stopped"], assistant["turns"]) == ("Four euros.", "answer", 3)
    assert model.requests[0].tool_choice == "required"
