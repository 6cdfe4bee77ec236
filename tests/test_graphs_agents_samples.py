"""Every standard agent's samples are true, and each says what a reader and the planner need to know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_context import context, run, scripted
from graphs.agents import standard
from graphs.questions import Question, fit
from graphs.registry import Agent, Sample
from graphs.running.filters import misfit
from graphs.values import MISSING, Value, canonical, clean

AGENTS = sorted({each.name: each for each in standard().values()}.values(), key=lambda each: each.name)
SAMPLES = [pytest.param(each, sample, id=f"{each.name}-{i}") for each in AGENTS for i, sample in enumerate(each.samples)]

CATALOGUE = frozenset(
    {
        "agreementAgent",
        "confidenceAgent",
        "firstAgent",
        "copyAgent",
        "echoAgent",
        "mergeObjectAgent",
        "dataObjectMergeTemplateAgent",
        "totalAgent",
        "dataSumTemplateAgent",
        "propertyFilterAgent",
        "lookupDictionaryAgent",
        "pushAgent",
        "popAgent",
        "shiftAgent",
        "arrayFlatAgent",
        "arrayJoinAgent",
        "arrayToObjectAgent",
        "arrayFindFirstExistsAgent",
        "stringTemplateAgent",
        "stringSplitterAgent",
        "stringCaseVariantsAgent",
        "stringUpdateTextAgent",
        "jsonParserAgent",
        "consoleAgent",
        "dotProductAgent",
        "sortByValuesAgent",
        "compareAgent",
        "sleeperAgent",
        "sleepAndMergeAgent",
        "sleeperAgentDebug",
        "countingAgent",
        "copyMessageAgent",
        "copy2ArrayAgent",
        "mergeNodeIdAgent",
        "streamMockAgent",
        "nestedAgent",
        "mapAgent",
        "fileReadAgent",
        "fileWriteAgent",
        "pathUtilsAgent",
        "vanillaFetchAgent",
        "stringEmbeddingsAgent",
        "retrieveAgent",
        "toolLoopAgent",
        "images2messageAgent",
        "humanAgent",
        "textInputAgent",
        "eventAgent",
        "declassifyAgent",
        "pseudonymiseAgent",
        "restoreAgent",
        "llmAgent",
        "openAIAgent",
        "anthropicAgent",
        "geminiAgent",
        "groqAgent",
        "ollamaAgent",
        "toolsAgent",
    }
)

OPENS_A_GRAPH = {"nestedAgent", "mapAgent"}
"""Carried out by the engine."""

ADDS_TO_ITS_SAMPLE = {"llmAgent"}
"""Its value has times in it, so the sample shows a part."""


class People:
    """People who say to each kind of question what the samples expect."""

    async def answer(self, question: Question) -> tuple[Value, dict[str, Value]]:
        said = {"approve": True, "choose": "red", "form": {"city": "London"}, "text": "Ada"}
        return fit(question, said[question.kind]), {}


async def approve(event: Value) -> Value:
    return {"approved": True}


async def say_hi(name: str, inputs: Value, params: Value) -> Value:
    said = {"role": "assistant", "content": "hi"}
    asked = [{"role": "user", "content": inputs["prompt"]}] if "prompt" in inputs else []
    return {"text": "hi", "message": said, "messages": [*asked, said], "tool_calls": []}


def services(folder: Path) -> dict[str, Any]:
    return {
        "models": scripted("pong"),
        "files": str(folder),
        "network": True,
        "people": People(),
        "events": approve,
        "call_agent": say_hi,
    }


def in_folder(value: Value, folder: Path) -> Value:
    """The samples speak of a granted folder; here it is a real one."""
    if isinstance(value, str):
        return value.replace("/granted", str(folder))
    if isinstance(value, dict):
        return {key: in_folder(item, folder) for key, item in value.items()}
    return value


@pytest.mark.parametrize(("agent", "sample"), SAMPLES)
def test_sample(agent: Agent, sample: Sample, tmp_path: Path) -> None:
    if agent.name in OPENS_A_GRAPH:
        pytest.skip("the engine's tests run it")
    (tmp_path / "hello.txt").write_text("hello\n")
    given = context(sample.inputs, in_folder(dict(sample.params), tmp_path), services=services(tmp_path), agent_name=agent.name)
    value = run(agent, given)
    wanted = clean(in_folder(sample.result, tmp_path))
    if agent.name in ADDS_TO_ITS_SAMPLE:
        value = {key: value[key] for key in wanted}
    assert value == wanted
    assert (value is MISSING) == (wanted is MISSING)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda each: each.name)
class TestWhatAnAgentSaysOfItself:
    def test_it_has_samples_that_are_data(self, agent: Agent) -> None:
        assert agent.samples
        for sample in agent.samples:
            for part in (sample.inputs, sample.params, sample.result, sample.graph):
                canonical(part)

    def test_it_has_a_description_of_one_paragraph(self, agent: Agent) -> None:
        assert agent.description.endswith(".")
        assert "\n" not in agent.description

    def test_it_has_a_category(self, agent: Agent) -> None:
        assert agent.category != "custom"

    def test_what_is_computed_again_for_nothing_has_neither_effect_nor_needs(self, agent: Agent) -> None:
        if agent.cheap:
            assert agent.effect == "none"
            assert not agent.needs
            assert not agent.is_async

    def test_who_streams_or_waits_does_not_block(self, agent: Agent) -> None:
        assert not (agent.blocking and agent.is_async)


def test_the_catalogue_is_complete() -> None:
    registry = standard()
    assert set(registry) == CATALOGUE
    assert registry["openAIAgent"] is registry["llmAgent"]


def test_each_caller_gets_a_registry_of_its_own() -> None:
    mine = standard()
    mine.add(AGENTS[0].__class__(name="mine", run=lambda context: None))
    assert "mine" not in standard()


@pytest.mark.parametrize(("name", "nests"), [("nestedAgent", "nested"), ("mapAgent", "map")])
def test_the_agents_that_open_graphs_are_the_engines_work(name: str, nests: str) -> None:
    agent = standard()[name]
    assert (agent.nests, agent.effect, agent.cheap) == (nests, "none", False)
    with pytest.raises(RuntimeError, match="engine"):
        agent.run(context(agent_name=name))


def test_knowing_the_agents_loads_nothing_heavy() -> None:
    code = "import sys, graphs.agents; graphs.agents.standard(); print(*sorted(set(sys.modules)))"
    loaded = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert loaded.isdisjoint({"httpx", "websockets", "rich", "llama_cpp", "numpy", "yaml", "sqlite3"})


def test_importing_the_package_loads_no_agent() -> None:
    code = "import sys, graphs.agents; print(*sorted(name for name in sys.modules if name.startswith('graphs')))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert loaded == ["graphs", "graphs.agents"]


@pytest.mark.parametrize(("agent", "sample"), SAMPLES)
def test_samples_fit_the_schemas_their_agents_state(agent: Agent, sample: Sample) -> None:
    assert misfit(sample.inputs or {}, agent.inputs or {}, "inputs") is None
    assert misfit(dict(sample.params), agent.params or {}, "params") is None


def test_the_agents_of_models_state_what_they_take() -> None:
    assert {each.name for each in AGENTS if each.inputs is not None} >= {
        "stringEmbeddingsAgent",
        "retrieveAgent",
        "toolLoopAgent",
    }
