"""One graph, the same inputs, five situations: the plan of each differs, says why, and is what the run then does; where the models are the same,
so are the results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from graphs.models.prices import Price
from workers import ServedWorker, worker

GRAPH = """\
version: 0.5
inputs:
  note: {type: string, default: The tide was high. The boats left late.%s}
nodes:
  gist: {agent: llmAgent, model: scripted, inputs: {prompt: "One sentence: ${:note}"}}
  answer:
    agent: llmAgent
    any: [{model: large}, {model: scripted}]
    inputs: {prompt: "A headline: ${:gist.text}"}
    isResult: true
"""


@dataclass(frozen=True)
class Situation:
    """How one of the five differs: by options, by what the network is, by a label on the document."""

    name: str
    words: str
    """What a user reads in its plan, and in no other."""
    options: tuple[str, ...] = ()
    conditions: str = ""
    label: str = ""
    model: str = "scripted"


SITUATIONS = [
    Situation("online", "needs large: not on this device", model="large"),
    Situation("offline", "this run is offline: no worker was asked", ("--offline",)),
    Situation("local only", "--local-only: scripted is here", ("--local-only",)),
    Situation("private", "carries the label private: stays on this device", label=", sensitivity: private"),
    # last: by then this device knows what the small model takes here, and nothing is moved by assumptions
    Situation("metered", "the network is metered (GRAPHFERRY_CONDITIONS)", ("--minimise", "cost"), conditions="metered 90%"),
]


@pytest.fixture
def served(own_home: Path) -> Iterator[ServedWorker]:
    with worker(own_home, models=("large", "scripted")) as made:
        made.call(lambda: setattr(made.worker, "prices", {"large": Price(1000.0, 1000.0)}))
        yield made


def said(cli: CommandLine, command: str, situation: Situation, url: str, *words: str) -> dict[str, Any]:
    done = cli(
        command, "g.yaml", "--json", "--cloud", url, *situation.options, *words, GRAPHFERRY_CONDITIONS=situation.conditions
    )
    assert done.status == 0, f"{situation.name}: {done.stderr}"
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_five_plans_each_explained_and_kept(cli: CommandLine, tmp_path: Path, served: ServedWorker) -> None:
    plans, results, models, texts = {}, {}, {}, {}
    for each in SITUATIONS:
        (tmp_path / "g.yaml").write_text(GRAPH % each.label, encoding="utf-8")
        if each is SITUATIONS[0]:
            said(cli, "plan", each, served.url, "--refresh")  # the worker was met, so that plans know its offer
            said(cli, "run", each, served.url)  # and what it takes
        plan = said(cli, "plan", each, served.url)
        texts[each.name] = cli(
            "plan", "g.yaml", "--cloud", served.url, *each.options, GRAPHFERRY_CONDITIONS=each.conditions
        ).stdout
        ran = said(cli, "run", each, served.url)
        answer = plan["nodes"]["answer"]
        plans[each.name] = (answer["place"], f"{answer['then']}: {answer['reason']}")
        assert ran["nodes"]["answer"]["place"] == answer["place"], each.name
        models[each.name] = ran["nodes"]["answer"]["by"]["model"]
        results[each.name] = ran["results"]["answer"]["text"]
        assert models[each.name] == each.model, each.name
    assert [plans[each.name][0] for each in SITUATIONS] == ["cloud", "edge", "edge", "edge", "edge"]
    reasons = {name: why for name, (_, why) in plans.items()}
    assert len(set(reasons.values())) == len(SITUATIONS), reasons
    for each in SITUATIONS:
        assert [name for name, text in texts.items() if each.words in text] == [each.name], texts
    assert "cheaper by scripted here: nothing vs 0.031 USD" in texts["metered"]
    assert "scripted stands in" in texts["offline"]
    same = {results[name] for name, model in models.items() if model == "scripted"}
    assert len(same) == 1, "the same model, the same inputs"
    assert '"metered": true' in json.dumps(said(cli, "plan", SITUATIONS[-1], served.url)["facts"])
