"""A worker as one account sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.accounts import Account
from cloud.share import Share
from cloud.worker import RefusedCut, Worker
from graphs.errors import ModelMissing
from graphs.journal import Journal
from graphs.language.spec import Graph
from graphs.loadagents import known_agents
from graphs.models.interface import Generation, GenerationRequest, OnToken
from graphs.models.scripted import ScriptedModel, ScriptedModels


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Worker]:
    with Journal.open(tmp_path / "journal.db") as journal:
        models = ScriptedModels([ScriptedModel("large"), ScriptedModel("secret")])
        yield Worker(journal, known_agents(), models, default_model="secret")


def kept(worker: Worker, nodes: dict[str, Any]) -> Graph:
    graph = Graph({"version": 0.5, "nodes": nodes})
    worker.keep_graph(graph.hash, graph.canonical)
    return graph


def test_only_the_models_of_the_account_are_offered_and_lent(whole: Worker) -> None:
    share = Share(whole, Account("alice", models=frozenset({"large", "absent"})))
    offer: Any = share.offer()
    assert list(offer["models"]) == ["large"]
    assert set(offer["agents"]) == set(whole.agents)
    services = share.services({"small": "secret", "big": "large"})
    assert services.default_model is None
    assert services.models is not None
    assert "secret" not in services.models.names()

    async def ask() -> None:
        assert services.models is not None
        for name in ("secret", "small"):
            with pytest.raises(ModelMissing, match="may not use the model 'secret'") as caught:
                await services.models.get(name)
            assert caught.value.condition == "MODEL_UNKNOWN"
            with pytest.raises(ModelMissing):
                services.models.describe(name)
        assert (await services.models.get("big")).info.name == "large"

    asyncio.run(ask())


def test_a_cut_that_names_another_model_is_refused(whole: Worker) -> None:
    share = Share(whole, Account("alice", models=frozenset({"large"})))
    graph = kept(share, {"a": {"agent": "llmAgent", "model": "secret"}})
    whole.check_models(graph, {})
    with pytest.raises(RefusedCut) as caught:
        share.check_models(graph, {})
    assert caught.value.code == "MODEL_UNKNOWN"
    Share(whole, Account()).check_models(graph, {})


def test_a_cut_with_labels_needs_clearance_for_all_of_them(whole: Worker) -> None:
    share = Share(whole, Account("alice", clearance=frozenset({"internal"})))
    graph = kept(
        share,
        {"a": {"agent": "copyAgent", "sensitivity": ["internal", "pii"]}, "b": {"agent": "copyAgent", "inputs": {"t": ":a"}}},
    )
    with pytest.raises(RefusedCut) as caught:
        share.graph(graph.hash)
    assert caught.value.code == "LABEL_WITHHELD"
    assert [path for path, _, _ in caught.value.problems] == ["a", "b"]
    assert "pii" in str(caught.value)
    assert "carries internal" not in str(caught.value)
    cleared = Share(whole, Account("bob", clearance=frozenset({"internal", "pii"})))
    assert cleared.graph(graph.hash) is not None, "one account's verdict is not another's"
    assert share.graph(bytes(32)) is None


def test_open_runs_are_counted_for_the_account_and_for_the_worker(whole: Worker) -> None:
    alice, bob = Share(whole, Account("alice", runs=2)), Share(whole, Account("bob"))
    alice.running += 1
    bob.running += 1
    assert (alice.running, bob.running, whole.running) == (1, 1, 2)
    assert alice.room() is None
    alice.running += 1
    refused = alice.room()
    assert refused is not None
    assert refused[0] == "BUSY"
    assert refused[2] is not None
    assert refused[2] > 0
    assert "'alice' has 2 open runs" in refused[1]
    assert bob.room() is None
    assert alice.slots == 2
    alice.running -= 1
    assert alice.room() is None
    assert whole.running == 2


def test_closing_a_share_leaves_the_models_to_the_others(whole: Worker) -> None:
    async def main() -> None:
        await Share(whole, Account()).close()
        assert (await whole.models.get("large")).info.name == "large"

    asyncio.run(main())


def test_a_model_is_asked_in_the_name_of_the_account(tmp_path: Path) -> None:
    asked: list[str] = []

    class Listening(ScriptedModel):
        async def generate(self, request: GenerationRequest, on_token: OnToken | None = None) -> Generation:
            asked.append(request.account)
            return await super().generate(request, on_token)

    async def ask(worker: Worker) -> None:
        for name in ("alice", "bob"):
            services = Share(worker, Account(name)).services({})
            assert services.models is not None
            await (await services.models.get("large")).generate(
                GenerationRequest([{"role": "user", "content": "hi"}], account="root")
            )

    with Journal.open(tmp_path / "journal.db") as journal:
        asyncio.run(ask(Worker(journal, known_agents(), ScriptedModels([Listening("large")]))))
    assert asked == ["alice", "bob"]
