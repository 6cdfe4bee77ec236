"""The assistant with a loop of tools, in real runs, its model scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from graphs.errors import LinkCondition, ModelRefused, NodeError
from graphs.models.interface import GenerationRequest
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import Agent, agent
from graphs.running.ports import Services
from runs import run

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}
ADD = {"agent": "addAgent", "name": "add", "description": "Adds.", "parameters": SCHEMA}


def call(name: str, arguments: Any, number: int = 0) -> dict[str, Any]:
    told = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": told}}


def script(*turns: Any) -> ScriptedModel:
    """A model that says these one after the other: texts, lists of calls, or refusals; the last one again and again."""
    left = list(turns)

    def reply(request: GenerationRequest) -> dict[str, Any] | str:
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, ModelRefused):
            raise said
        return said if isinstance(said, str) else {"content": "", "tool_calls": said}

    return ScriptedModel("tiny", [(lambda request: True, reply)])


def add(context: Any) -> Any:
    return {"sum": context.inputs["a"] + context.inputs["b"] + context.params.get("more", 0)}


def broken(context: Any) -> Any:
    raise ValueError("it is broken")


def typed(context: Any) -> Any:
    raise NodeError("no such town", detail={"x": 1})


def busy(context: Any) -> Any:
    raise LinkCondition("BUSY", "come back later")


AGENTS: dict[str, Callable[[Any], Any] | Agent] = {"addAgent": add, "brokenAgent": broken, "typedAgent": typed, "busyAgent": busy}


def looped(model: ScriptedModel, tools: list[Any], inputs: dict[str, Any] | None = None, **params: Any) -> Any:
    """The result of a node with these tools, or the run where it has none."""
    node = {
        "agent": "toolLoopAgent",
        "isResult": True,
        "inputs": inputs or {"prompt": "What is 1 + 2?"},
        "params": {"tools": tools, **params},
    }
    services = Services(models=ScriptedModels([model]), default_model="tiny")
    made = run({"loop": node}, AGENTS, services=services)
    return made.engine.results(all=False).get("loop", made)


def error_of(made: Any) -> BaseException:
    (error,) = {**made.engine.errors(), **made.engine.suspended}.values()
    assert isinstance(error, BaseException)
    return error


def test_without_calls_the_first_answer_is_the_result() -> None:
    model = script("three")
    got = looped(model, [ADD], {"prompt": "What?", "system": "Be brief."}, temperature=0, max_tokens=9)
    assert (got["text"], got["calls"], got["turns"], got["stopped"]) == ("three", [], 1, "answer")
    assert [each["role"] for each in got["messages"]] == ["system", "user", "assistant"]
    (request,) = model.requests
    assert (request.temperature, request.max_tokens, request.tool_choice) == (0, 9, None)
    assert request.tools == ({"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA}},)


def test_tools_are_called_until_the_model_calls_none() -> None:
    model = script([call("add", {"a": 1, "b": 2})], [call("add", {"a": 3, "b": 4}, 1), call("add", {"a": 0, "b": 0}, 2)], "ten")
    got = looped(model, [ADD], tool_choice="required")
    assert (got["text"], got["turns"], got["stopped"]) == ("ten", 3, "answer")
    assert got["calls"] == [
        {"turn": 1, "name": "add", "agent": "addAgent", "arguments": {"a": 1, "b": 2}, "result": {"sum": 3}},
        {"turn": 2, "name": "add", "agent": "addAgent", "arguments": {"a": 3, "b": 4}, "result": {"sum": 7}},
        {"turn": 2, "name": "add", "agent": "addAgent", "arguments": {"a": 0, "b": 0}, "result": {"sum": 0}},
    ]
    assert [each["role"] for each in got["messages"]] == ["user", "assistant", "tool", "assistant", "tool", "tool", "assistant"]
    told = got["messages"][2]
    assert told == {"role": "tool", "tool_call_id": "c0", "name": "add", "content": '{"sum":3}'}
    assert [request.tool_choice for request in model.requests] == ["required", None, None]
    assert [len(request.messages) for request in model.requests] == [1, 3, 6]


def test_at_the_limit_the_model_is_asked_to_answer_without_tools() -> None:
    wanted = [call("add", {"a": 1, "b": 2})]
    model = script(wanted, wanted, wanted, "three")
    got = looped(model, [ADD], maxTurns=3)
    assert (got["stopped"], got["turns"], len(got["calls"]), got["text"]) == ("limit", 4, 3, "three")
    assert [request.tool_choice for request in model.requests] == [None, None, None, "none"]
    stubborn = looped(script(wanted), [ADD], maxTurns=1)
    assert (stubborn["stopped"], stubborn["turns"], len(stubborn["calls"]), stubborn["text"]) == ("limit", 2, 1, None)


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        (call("brokenAgent", {}), "NODE_FAILED", "it is broken"),
        (call("typedAgent", {}), "NODE_FAILED", "no such town"),
        (call("fileWriteAgent", {}), "TOOL_CALL_INVALID", "there is no tool fileWriteAgent"),
        (call("add", "{broken"), "TOOL_CALL_INVALID", "not a JSON object"),
        (call("add", "[1]"), "TOOL_CALL_INVALID", "not a JSON object"),
        (call("add", {"a": 1}), "TOOL_CALL_INVALID", "arguments.b is missing"),
        (call("add", {"a": 1, "b": "2"}), "TOOL_CALL_INVALID", "arguments.b is not of type number"),
        (call("nestedAgent", {}), "NODE_FAILED", "there is no agent 'nestedAgent' to call here"),
        (call("nobody", {}), "NODE_FAILED", "there is no agent 'nobody' to call here"),
    ],
)
def test_an_error_goes_back_to_the_model_or_fails_the_node(wanted: Any, code: str, message: str) -> None:
    tools = [ADD, "brokenAgent", "typedAgent", "nestedAgent", "nobody"]
    model = script([wanted], "sorry")
    got = looped(model, tools)
    assert got["text"] == "sorry"
    (done,) = got["calls"]
    assert done["error"]["code"] == code
    assert message in done["error"]["message"]
    assert json.loads(model.requests[1].messages[-1]["content"]) == {"error": done["error"]}
    assert message in str(error_of(looped(script([wanted], "sorry"), tools, onToolError="fail")))


def refused(answer: str) -> ModelRefused:
    """What a model on this machine says of whole calls that are not as their schemas demand."""
    return ModelRefused("model tiny: its answer is not as its schema demands", detail={"answer": answer, "again": False})


def test_calls_that_a_model_was_refused_for_are_told_to_it_like_all_others() -> None:
    even = {"agent": "addAgent", "name": "add", "parameters": {"properties": {"a": {"multipleOf": 2}}, "required": ["a", "b"]}}
    wanted = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "add", "arguments": {"a": 2, "b": 2}}]
    model = script(refused(json.dumps(wanted)), "four")
    got = looped(model, [even], {"prompt": "What?", "system": "Be brief."})
    wrong, right = got["calls"]
    assert (wrong["error"]["code"], right["result"]) == ("TOOL_CALL_INVALID", {"sum": 4})
    assert "arguments.a is 1, no multiple of 2" in wrong["error"]["message"]
    assert (got["text"], got["turns"], got["stopped"]) == ("four", 2, "answer")
    assert [each["role"] for each in got["messages"]] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert [json.loads(each["function"]["arguments"]) for each in got["messages"][2]["tool_calls"]] == [
        {"a": 1, "b": 2},
        {"a": 2, "b": 2},
    ]
    assert [each["tool_call_id"] for each in got["messages"][3:5]] == ["call_1_0", "call_1_1"]
    asked = list(model.requests[1].messages)
    assert asked == got["messages"][:5]
    failed = error_of(looped(script(refused(json.dumps(wanted[0])), "no"), [even], onToolError="fail"))
    assert "no multiple of 2" in str(failed)


@pytest.mark.parametrize("answer", ["", "no JSON", "12", "[]", '{"name": "add"}', '[{"name": "add", "arguments": {}}, 1]'])
def test_a_refusal_for_anything_else_fails_the_node(answer: str) -> None:
    assert "not as its schema demands" in str(error_of(looped(script(refused(answer), "sorry"), [ADD])))


@pytest.mark.real_model
@pytest.mark.usefixtures("home_with_model")
def test_a_real_model_is_told_what_no_grammar_can_hold_it_to(cli: CommandLine, tmp_path: Path) -> None:
    number = {"type": "integer", "minimum": 1, "maximum": 9, "not": {"type": "integer"}}
    schema = {"type": "object", "properties": {"n": number}, "required": ["n"]}
    params = {"tools": [{"agent": "echoAgent", "name": "look", "parameters": schema}], "maxTurns": 1, "tool_choice": "required"}
    params |= {"temperature": 0, "max_tokens": 300}
    node = {"agent": "toolLoopAgent", "isResult": True, "inputs": {"prompt": "Look at number 3."}, "params": params}
    (tmp_path / "look.json").write_text(json.dumps({"version": 0.5, "nodes": {"loop": node}}))
    outcome = cli("run", str(tmp_path / "look.json"), "--json")
    assert outcome.status == 0, outcome.stderr
    got = json.loads(outcome.stdout)["results"]["loop"]
    assert (got["stopped"], got["turns"]) == ("limit", 2)
    assert got["calls"]
    for each in got["calls"]:
        assert each["error"]["code"] == "TOOL_CALL_INVALID"
        assert "is what `not` excludes" in each["error"]["message"]


def test_a_condition_that_is_nothing_the_tool_did_suspends_the_node_and_is_never_told_to_the_model() -> None:
    model = script([call("busyAgent", {})], "sorry")
    error = error_of(looped(model, ["busyAgent"]))
    assert isinstance(error, LinkCondition)
    assert len(model.requests) == 1


def test_what_the_graph_sets_the_model_cannot_change() -> None:
    tool = {**ADD, "inputs": {"b": 40}, "params": {"more": 100}, "parameters": {"type": "object"}}
    got = looped(script([call("add", {"a": 1, "b": 2, "more": 7})], "ok"), [tool])
    assert got["calls"][0]["result"] == {"sum": 141}
    assert got["calls"][0]["arguments"] == {"a": 1, "b": 2, "more": 7}


def test_an_agent_describes_itself_where_the_graph_does_not() -> None:
    @agent("shoutAgent", effect="none", inputs={"type": "object", "required": ["text"]})
    def shout(context: Any) -> Any:
        """Writes in capitals."""
        return context.inputs["text"].upper()

    model = script([call("shoutAgent", {"text": "x" * 9000})], "ok")
    node = {"agent": "toolLoopAgent", "isResult": True, "inputs": {"prompt": "hi"}, "params": {"tools": ["shoutAgent"]}}
    made = run({"loop": node}, {"shoutAgent": shout}, services=Services(models=ScriptedModels([model]), default_model="tiny"))
    got = made.engine.results(all=False)["loop"]
    function = model.requests[0].tools[0]["function"]
    assert (function["description"], function["parameters"]) == ("Writes in capitals.", {"type": "object", "required": ["text"]})
    assert got["calls"][0]["result"] == "X" * 9000
    assert model.requests[1].messages[-1]["content"] == "X" * 8000 + "... (1000 more characters)"


@pytest.mark.parametrize(
    ("tools", "params", "told"),
    [
        ([], {}, "params.tools is a list"),
        ("add", {}, "params.tools is a list"),
        ([7], {}, r"params.tools\[0\] is neither"),
        ([{"name": "x"}], {}, r"params.tools\[0\] is neither"),
        ([{"agent": "addAgent", "name": "a b"}], {}, "at most 64 letters"),
        ([{"agent": "addAgent", "inputs": []}], {}, "are maps"),
        (["addAgent", "addAgent"], {}, "have the same name"),
        (["addAgent"], {"maxTurns": 0}, "maxTurns must be"),
        (["addAgent"], {"maxTurns": 65}, "maxTurns must be"),
        (["addAgent"], {"llmAgent": "addAgent"}, "."),
    ],
)
def test_what_makes_no_sense_is_refused(tools: Any, params: dict[str, Any], told: str) -> None:
    made = looped(script("hi"), tools, {"prompt": "hi", "a": 1}, **params)
    with pytest.raises(Exception, match=told):
        raise error_of(made)


def test_the_history_is_gone_on_with() -> None:
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    got = looped(script("four"), [ADD], {"messages": history, "message": {"role": "user", "content": "three"}})
    assert [each["content"] for each in got["messages"]] == ["one", "two", "three", "four"]


@agent("sendAgent", effect="once")
def send(context: Any) -> Any:
    return {"sent": True}


def test_a_crash_of_the_model_does_not_have_tools_called_twice() -> None:
    model = script(*[[call("sendAgent", {})]] * 3, "sent")  # the first two are lost in the crashes
    model.crash(2)
    AGENTS["sendAgent"] = send
    got = looped(model, ["sendAgent"])
    assert (got["text"], len(got["calls"]), len(model.requests)) == ("sent", 1, 4)


@pytest.mark.parametrize(("tool", "begun_again"), [("sendAgent", False), ("addAgent", True)])
def test_a_condition_after_a_call_with_effects_fails_the_node_instead_of_repeating_it(tool: str, begun_again: bool) -> None:
    AGENTS["sendAgent"] = send
    error = error_of(looped(script([call(tool, {"a": 1, "b": 2}), call("busyAgent", {})], "never"), [tool, "busyAgent"]))
    assert isinstance(error, LinkCondition) == begun_again
    if not begun_again:
        assert isinstance(error, NodeError)
        assert not error.retryable
        assert "Tool sendAgent had been called" in error.message
