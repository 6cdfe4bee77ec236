from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloud.accounts import Account
from cloud.share import Share
from cloud.worker import RefusedCut, Worker
from graphs.agents import standard
from graphs.journal import Journal
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.prices import Price
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import Agent
from graphs.values import canonical, digest

GRAPH = """\
version: 0.5
nodes:
  text: {value: hi}
  here: {agent: copyAgent, inputs: {t: :text}}
  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :here.t}}
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def made(journal: Journal, *models: str) -> Worker:
    return Worker(journal, standard(), ScriptedModels([ScriptedModel(name) for name in models or ("large",)]))


def a_cut(text: str = GRAPH, *nodes: str, agents: tuple[str, ...] = ()) -> Any:
    return cut(Graph.of(load_text(text).data, [*standard(), *agents]), nodes or ("far",))


def address(body: bytes) -> bytes:
    return digest(b"graphferry.graph.1\n" + body)


def test_a_cut_is_kept_under_its_hash_over_restarts(journal: Journal) -> None:
    shipped = a_cut()
    worker = made(journal)
    assert worker.graph(shipped.hash) is None
    worker.keep_graph(shipped.hash, shipped.canonical)
    found = worker.graph(shipped.hash)
    assert found is not None, "at once, whether or not the journal can show it already"
    assert (found.hash, found) == (shipped.hash, worker.graph(shipped.hash))
    journal.flush()
    again = made(journal).graph(shipped.hash)
    assert again is not None
    assert dict(again.nodes) == dict(shipped.nodes)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"version": 0.5, "nodes": {"a": {"agent": "farAgent", "inputs": {"t": 1}}}}, "AGENT_UNKNOWN"),
        ({"version": 0.5, "nodes": {"a": {"agent": "copyAgent", "inputs": {"t": ":nowhere"}}}}, "GRAPH_INVALID"),
        ({"version": 0.5, "nodes": {}}, "GRAPH_INVALID"),
        ({"version": 0.5}, "GRAPH_INVALID"),
        ({}, "GRAPH_INVALID"),
    ],
)
def test_a_cut_that_cannot_run_here_is_refused_by_its_reason(journal: Journal, document: Any, code: str) -> None:
    body = canonical(document)
    worker = made(journal)
    worker.keep_graph(address(body), body)
    for _ in range(2):
        with pytest.raises(RefusedCut) as caught:
            worker.graph(address(body))
        assert caught.value.code == code
        assert str(caught.value)
        journal.flush()


def test_agents_that_need_not_exist_are_each_runs_own_affair(journal: Journal) -> None:
    shipped = a_cut(GRAPH.replace("llmAgent, model: large", "farAgent"), agents=("farAgent",))
    worker = made(journal)
    worker.keep_graph(shipped.hash, shipped.canonical)
    assert worker.graph(shipped.hash, ("farAgent",)) is not None
    with pytest.raises(RefusedCut, match="farAgent") as caught:
        worker.graph(shipped.hash)
    assert caught.value.code == "AGENT_UNKNOWN"


def test_bytes_that_are_not_the_canonical_form_of_a_map_are_refused(journal: Journal) -> None:
    twice = b"\x82\xa1a\x01\xa1a\x02"  # a map with one key twice: a decoder keeps the last
    long = b"\xdf\x00\x00\x00\x01\xa1a\x01"  # a longer header than needed
    for body in (twice, long, b"", b"\xc1", b"\x81", canonical([]), canonical("text")):
        worker = made(journal)
        with pytest.raises(RefusedCut) as caught:
            worker.keep_graph(address(body), body)
        assert caught.value.code == "GRAPH_INVALID"
        journal.flush()
        assert journal.graph(address(body)) is None, "what is not a graph is not kept"
        assert worker.graph(address(body)) is None


def test_verdicts_of_stored_cuts_follow_the_agents_of_today(journal: Journal) -> None:
    shipped = a_cut(GRAPH.replace("llmAgent, model: large", "oldAgent"), agents=("oldAgent",))
    old = Worker(journal, standard().with_agents([Agent("oldAgent", lambda context: None)]), ScriptedModels())
    old.keep_graph(shipped.hash, shipped.canonical)
    journal.flush()
    with pytest.raises(RefusedCut) as caught:
        made(journal).graph(shipped.hash)
    assert caught.value.code == "AGENT_UNKNOWN"


@pytest.mark.parametrize(
    ("names", "refused"),
    [({}, True), ({"large": "small"}, True), ({"large": "other"}, False)],
)
def test_a_model_that_is_missing_is_named(journal: Journal, names: Mapping[str, str], refused: bool) -> None:
    worker = made(journal, "other")
    if not refused:
        worker.check_models(a_cut(), names)
        return
    with pytest.raises(RefusedCut, match="node 'far' asks for the model 'large'; this worker has other") as caught:
        worker.check_models(a_cut(), names)
    assert caught.value.code == "MODEL_UNKNOWN"
    assert [problem[0] for problem in caught.value.problems] == ["far"]


def test_a_models_own_name_here_wins_over_the_devices_word_for_it(journal: Journal) -> None:
    import asyncio

    async def main() -> None:
        worker = made(journal, "large", "other")
        services = worker.services({"large": "other", "tier": "other"})
        assert (await services.models.get("large")).info.name == "large"
        assert (await services.models.get("tier")).info.name == "other"
        await worker.close()

    asyncio.run(main())


def test_the_offer_says_what_models_cost_how_fast_they_were_and_when_it_was_said(journal: Journal) -> None:
    models = ScriptedModels([ScriptedModel("large"), ScriptedModel("free")])
    worker = Worker(journal, standard(), models, prices={"large": Price(0.25, 1.0)})
    before = time.time() * 1000
    offer: Any = worker.offer()
    assert (offer["models"]["large"]["usd_in"], offer["models"]["large"]["usd_out"]) == (0.25, 1.0)
    assert "usd_in" not in offer["models"]["free"], "nobody said what it costs"
    assert before - 1 <= offer["t"] <= time.time() * 1000
    assert {"toks_s", "prompt_s", "measured"} <= set(offer["models"]["large"])
    assert Share(worker, Account("alice")).offer()["models"] == offer["models"]


def test_the_offer_counts_what_runs(journal: Journal) -> None:
    worker = made(journal)
    free: Any = worker.offer()["queue"]
    worker.running = 5
    assert worker.offer()["queue"] == free - 5
    worker.running = 10_000
    assert worker.offer()["queue"] == 0
    assert worker.files is None
    assert worker.services({}).files is None, "no files are granted unless the configuration does"


def test_the_models_of_a_cut_are_said_to_be_coming_once_each_by_this_workers_names(journal: Journal) -> None:
    said: list[str] = []

    class Noted(ScriptedModels):
        def prefetch(self, name: str) -> None:
            said.append(name)

    worker = Worker(journal, standard(), Noted([ScriptedModel("huge")]))
    more = "  again: {agent: llmAgent, model: large, inputs: {prompt: :far.text}}\n  other: {agent: llmAgent, inputs: {prompt: hi}}\n"
    shipped = a_cut(GRAPH + more, "far", "again", "other")
    worker.prefetch(Graph.of(shipped.document, standard(), allow_cut=True), {"large": "huge"})
    assert said == ["huge"]


def test_no_graph_of_a_device_may_use_an_agent_that_requires_trusted_inputs(journal: Journal) -> None:
    mail = Agent("mailAgent", lambda context: {"sent": True}, requires="trusted")
    here = Worker(journal, standard().with_agents([mail]), ScriptedModels([ScriptedModel("large")]))
    assert here.agents.get("mailAgent") is None
    text = "version: 0.5\nnodes:\n  text: {value: hi}\n  send: {agent: mailAgent, inputs: {t: :text}}\n"
    body = canonical(a_cut(text, "send", agents=("mailAgent",)).document)
    here.keep_graph(address(body), body)
    with pytest.raises(RefusedCut, match="mailAgent") as refused:
        here.graph(address(body))
    assert refused.value.code == "AGENT_UNKNOWN"
