"""What graphferry offers for tests: virtual time, a worker in the same process, and checks of agents and models."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import graphferry as gf
from graphferry import testing
from graphferry.testing import ScriptedModel, VirtualTimeLoop, check_agent, fast_forward, worker_in_process

HOUR = 3600.0


def test_hours_pass_at_once_and_in_order() -> None:
    said: list[str] = []

    async def later(hours: float, word: str) -> None:
        await asyncio.sleep(hours * HOUR)
        said.append(word)

    async def main() -> float:
        await asyncio.gather(later(72, "third"), later(1, "first"), later(1.5, "second"))
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert fast_forward(main()) == 72 * HOUR
    assert said == ["first", "second", "third"]
    assert time.monotonic() - began < HOUR  # were time real, this test would be over in three days


def test_a_timeout_of_an_hour_needs_no_hour() -> None:
    graph = gf.Graph()
    graph.node("slow", "sleeperAgent", params={"duration": 5 * HOUR * 1000}, timeout=HOUR * 1000, retry=2)
    graph.node("quick", "sleeperAgent", params={"duration": HOUR * 500}, timeout=HOUR * 1000, inputs={"x": 1}, is_result=True)

    async def main() -> tuple[gf.RunResult, float]:
        return await gf.arun(graph), asyncio.get_running_loop().time()

    ended, now = fast_forward(main())
    assert ended.status == "failed"
    assert isinstance(ended.errors["slow"], gf.NodeTimeout)
    assert ended.results == {"quick": {"x": 1}}
    assert now == pytest.approx(3 * HOUR)


def test_time_stands_still_while_a_thread_works() -> None:
    """A thread takes real time, however little: a deadline must not pass meanwhile."""

    def work() -> str:
        time.sleep(0.01)
        return "done"

    async def main() -> tuple[str, float]:
        release = asyncio.get_running_loop().call_later(HOUR, lambda: None)
        async with asyncio.timeout(HOUR):
            word = await asyncio.to_thread(work)
        release.cancel()
        return word, asyncio.get_running_loop().time()

    assert fast_forward(main()) == ("done", 0.0)


def test_the_loop_can_be_used_by_a_runner_of_ones_own() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        for expected in (1.0, 2.0):
            runner.run(asyncio.sleep(1))
            assert runner.get_loop().time() == expected


def ferried() -> gf.Graph:
    graph = gf.Graph()
    topic = graph.value("topic", "the tide")
    question = graph.node("question", "llmAgent", model="small", inputs={"prompt": f"Ask about {topic}"})
    answer = graph.node("answer", "llmAgent", model="large", inputs={"prompt": question["text"]})
    graph.node("out", "copyAgent", inputs={"text": answer["text"]}, is_result=True)
    return graph


def test_a_worker_in_the_same_process_runs_what_the_device_cannot() -> None:
    async def main() -> Any:
        large = ScriptedModel("large", prefix="The worker heard: ")
        async with worker_in_process(models=large) as worker:
            first = await worker.run(ferried(), models=ScriptedModel("small", prefix="The device heard: "))
            second = await worker.run(ferried(), {"topic": "boats"}, models=ScriptedModel("small"))
        return first, second, len(large.requests)

    first, second, asked = asyncio.run(main())
    assert first.status == "completed"
    assert first.results == {"out": {"text": "The worker heard: The device heard: Ask about the tide"}}
    assert {path: node.place for path, node in first.nodes.items()} == {"question": "edge", "answer": "cloud", "out": "edge"}
    assert "needs large" in first.nodes["answer"].reason
    assert second.results["out"]["text"] == "The worker heard: You said: Ask about boats"
    assert asked == 2


def test_what_neither_side_has_is_refused() -> None:
    async def main() -> None:
        async with worker_in_process() as worker:
            await worker.run(ferried(), models=ScriptedModel("small"))

    with pytest.raises(gf.UsageError, match="'large', which neither this device nor the worker has"):
        asyncio.run(main())


@gf.agent(
    "shoutAgent", effect="none", cheap=True, samples=[gf.Sample({"text": ":ahoy", "a.b": [1]}, {"marks": 2}, {"text": ":AHOY!!"})]
)
def shout(context: gf.AgentContext) -> gf.Value:
    """Writes text in capitals."""
    return {"text": context.inputs["text"].upper() + "!" * context.params["marks"]}


def test_an_agent_that_keeps_its_promises_passes() -> None:
    check_agent(shout)


def an_agent(function: Any, **attributes: Any) -> gf.Agent:
    function.__doc__ = attributes.pop("description", "Does something.")
    samples = attributes.pop("samples", [gf.Sample({"list": [1]}, {}, 1)])
    return gf.agent("anAgent", samples=samples, **attributes)(function)


def raises(context: gf.AgentContext) -> gf.Value:
    raise gf.NodeError("not today")


@pytest.mark.parametrize(
    ("agent", "promise"),
    [
        (an_agent(lambda context: 1, description=""), "anAgent: has no description"),
        (an_agent(lambda context: 1, samples=[]), "anAgent: has no samples"),
        (an_agent(lambda context: 1, cheap=True), 'anAgent: is cheap, so it has effect="none"'),
        (an_agent(lambda context: 2), "anAgent: sample 1 gives 2 and says 1"),
        (an_agent(lambda context: {1, 2}), "anAgent: sample 1: what it gives is not data"),
        (an_agent(lambda context: context.inputs["list"].append(2) or 1), "anAgent: sample 1: it changed what it was handed"),
        (
            an_agent(lambda context: context.params.clear() or 1, samples=[gf.Sample({}, {"a": 1}, 1)]),
            "it changed what it was handed",
        ),
        (an_agent(raises), "anAgent: sample 1: not today"),
    ],
)
def test_a_broken_promise_is_named(agent: gf.Agent, promise: str) -> None:
    with pytest.raises(AssertionError) as raised:
        check_agent(agent)
    assert promise in str(raised.value)


def test_a_scripted_model_keeps_the_promises_of_models() -> None:
    asyncio.run(testing.check_model(ScriptedModel(rules=[("story", "word " * 300)])))


def test_every_name_is_there() -> None:
    for name in testing.__all__:
        assert hasattr(testing, name)
