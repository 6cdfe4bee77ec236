"""Running a graph in this process, without a journal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import graphferry as gf
from graphferry.testing import ScriptedModel, ScriptedModels

EXAMPLES = Path(__file__).resolve().parent.parent / "graphs" / "examples"


def small() -> gf.Graph:
    graph = gf.Graph()
    topic = graph.value("topic", "the tide")
    draft = graph.node("draft", "llmAgent", inputs={"prompt": f"Write about {topic}"}, model="large")
    graph.node("out", "copyAgent", inputs={"text": draft["text"]}, is_result=True)
    return graph


@pytest.mark.parametrize("form", ["builder", "spec", "document", "text", "path", "name"])
def test_a_graph_runs_in_whatever_form_it_is(form: str, tmp_path: Path) -> None:
    graph = small()
    path = tmp_path / "g.yaml"
    path.write_text(graph.to_yaml())
    forms: dict[str, Any] = {
        "builder": graph, "spec": graph.build(), "document": graph.document, "text": graph.to_yaml(), "path": path, "name": str(path)
    }  # fmt: skip
    ended = gf.run(forms[form], {"topic": "boats"}, models=ScriptedModel())
    assert ended.status == "completed"
    assert ended.require() == {"out": {"text": "You said: Write about boats"}}
    assert ended.values["topic"] == "boats"


def test_models_are_found_by_name_or_one_answers_for_all() -> None:
    named = ScriptedModels([ScriptedModel("large", prefix="L: ")])
    assert gf.run(small(), models=named).results["out"]["text"].startswith("L: ")
    missing = gf.run(small(), models=ScriptedModels([ScriptedModel("small")]))
    assert missing.status == "suspended"
    assert isinstance(missing.errors["draft"], gf.ModelMissing)
    with pytest.raises(gf.ModelMissing):
        missing.require()


def test_without_models_of_its_own_a_run_has_those_of_this_device(own_home: Path) -> None:
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("models: {small: scripted}\n")
    assert gf.run(EXAMPLES / "hello.yaml").require()["hello"]["text"].startswith("You said: Say hello")


def test_a_failed_run_has_its_errors_and_the_other_results() -> None:
    graph = gf.Graph()
    graph.node("bad", "fileReadAgent", inputs={"file": "x"}, params={"baseDir": "/"})
    graph.node("worse", "compareAgent", inputs={"array": []})
    graph.node("good", "copyAgent", inputs={"x": 1}, is_result=True)
    ended = gf.run(graph)
    assert ended.status == "failed"
    assert list(ended.errors) == ["bad", "worse"]
    assert ended.results == {"good": {"x": 1}}
    with pytest.raises(gf.RunFailed) as raised:
        ended.require()
    assert raised.value.node == "bad"
    assert raised.value.__cause__ is ended.errors["bad"]
    assert raised.value.__notes__ == ["at node 'bad' of the graph"]
    assert set(raised.value.errors) == {"bad", "worse"}


def test_what_is_no_node_with_a_value_and_what_is_no_agent_is_refused_by_its_name() -> None:
    text = "version: 0.5\nnodes:\n  topic: {value: 1}\n  a: {agent: copyAgent, inputs: {x: :topic}}\n"
    with pytest.raises(gf.UsageError, match="inputs: topik: that node is not in the graph") as raised:
        gf.run(text, {"topik": 2})
    assert raised.value.hint == "Did you mean 'topic'?"
    with pytest.raises(gf.UsageError, match="'my_agents' is no agent"):
        gf.run(text, agents=["my_agents"])  # type: ignore[list-item]  # what somebody might try


def test_files_are_granted_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    graph = gf.Graph()
    graph.node("a", "fileReadAgent", inputs={"file": "a.txt"}, params={"baseDir": ".", "outputType": "text"}, is_result=True)
    assert gf.run(graph, files=tmp_path).require() == {"a": {"data": "hello"}}
    assert gf.run(graph).status == "failed"


def test_a_graph_that_lacks_a_value_says_so() -> None:
    graph = gf.Graph()
    needed = graph.input("needed")
    graph.node("out", "copyAgent", inputs={"x": needed}, is_result=True)
    ended = gf.run(graph)
    assert ended.status == "failed"
    assert "Static node(s) must have value" in str(ended.errors[""])
    with pytest.raises(gf.UsageError, match="ghost"):
        gf.run(graph, {"ghost": 1})


def test_inside_an_event_loop_one_awaits() -> None:
    async def main() -> gf.RunResult:
        with pytest.raises(gf.UsageError, match="inside an event loop"):
            gf.run(small())
        return await gf.arun(small(), models=ScriptedModel())

    assert asyncio.run(main()).status == "completed"


def test_nested_graphs_come_from_beside_the_file_or_from_the_programs_own_loader(tmp_path: Path) -> None:
    inner = "nodes:\n  n: {agent: copyAgent, inputs: {x: ':x'}, params: {namedKey: x}, isResult: true}\n"
    (tmp_path / "inner.yaml").write_text(inner)
    outer = tmp_path / "outer.yaml"
    outer.write_text("nodes:\n  m: {agent: nestedAgent, inputs: {x: 5}, graphLoader: {fileName: inner.yaml}, isResult: true}\n")
    assert gf.run(outer).require() == {"m": {"n": 5}}
    asked: list[Any] = []

    def loader(about: Mapping[str, Any]) -> Any:
        asked.append(about)
        return {"nodes": {"n": {"agent": "copyAgent", "inputs": {"x": ":x"}, "params": {"namedKey": "x"}, "isResult": True}}}

    assert gf.run(outer.read_text(), graph_loader=loader).require() == {"m": {"n": 5}}
    assert asked == [{"fileName": "inner.yaml"}]


def people() -> gf.Graph:
    graph = gf.Graph()
    ok = graph.node("ok", "humanAgent", params={"mode": "approve", "prompt": "Send it?"}, inputs={"draft": "hello"})
    graph.node("name", "textInputAgent", params={"message": "Name"}, is_result=True)
    graph.node("out", "copyAgent", inputs={"said": ok["approved"]}, is_result=True)
    return graph


def test_a_program_answers_what_nodes_ask_people() -> None:
    async def ask(question: Any) -> Any:
        return "Ada" if question.kind == "text" else {"approved": question.inputs["draft"] == "hello"}

    results = gf.run(people(), ask=ask).require()
    assert (results["out"], results["name"]["text"]) == ({"said": True}, "Ada")


def test_what_nobody_answers_leaves_the_run_suspended() -> None:
    for ended in (gf.run(people()), gf.run(people(), ask=lambda question: "Ada" if question.kind == "text" else None)):
        assert ended.status == "suspended"
        assert ended.errors["ok"].condition == "ANSWER_NEEDED"  # type: ignore[attr-defined]
    assert ended.results["name"]["text"] == "Ada"


def test_an_answer_that_does_not_fit_fails_the_node() -> None:
    ended = gf.run(people(), ask=lambda question: "perhaps")
    assert (ended.status, str(ended.errors["ok"]).splitlines()[0]) == ("failed", "perhaps is no answer to 'ok'")


def test_what_is_no_value_is_told_by_its_place_before_anything_starts() -> None:
    asked: list[Any] = []

    @gf.agent("noting")
    def noting(context: gf.AgentContext) -> Any:
        asked.append(context.inputs)
        return 1

    graph = gf.Graph()
    given = graph.input("given")
    graph.node("n", noting, inputs={"x": given}, is_result=True)
    with pytest.raises(gf.ValueUnsupported, match=r"inputs: given\.list\[1\]: set is not data"):
        gf.run(graph, {"given": {"list": [1, {2}]}})
    with pytest.raises(gf.GraphInvalid, match=r"nodes\.a\.inputs\.x: set is not data"):
        gf.run({"version": 0.5, "nodes": {"a": {"agent": "copyAgent", "inputs": {"x": {1, 2}}}}})
    assert asked == []


def test_what_is_commonly_mistaken_is_told() -> None:
    with pytest.raises(gf.UsageError, match="needs the name") as raised:
        gf.agent(lambda: 1)  # type: ignore[arg-type]
    assert "@agent(" in str(raised.value.hint)
    echo = gf.agent("echo")(lambda context: context.inputs)
    with pytest.raises(gf.UsageError, match="no list of agents"):
        gf.run(small(), agents=echo)  # type: ignore[arg-type]
    with pytest.raises(gf.UsageError, match="neither a model nor models"):
        gf.run(small(), models="small")  # type: ignore[arg-type]
