"""Our own attributes. The others are tested with the table of fields, and every code with `check`."""

from __future__ import annotations

from graph_texts import checked, graph, places


def test_our_attributes() -> None:
    text = graph(
        "a: {value: 1, sensitivity: [private]}",
        "b: {agent: llmAgent, model: large, place: {at: cloud, offline: local, local: {model: small, timeout: 5}}, effect: none}",
        "c: {agent: llmAgent, place: edge, sensitivity: pii, inputs: {t: ':topic'}}",
        place="auto",
        inputs="{topic: {type: string, default: foxes, description: what, sensitivity: [pii]}, other: }",
        retry="2",
    )
    assert checked(text) == []


def test_a_graph_s_own_sensitivity_words_count() -> None:
    text = graph("a: {value: 1, sensitivity: [medical]}", "b: {agent: copyAgent, label: medical}")
    assert places(checked(text)) == [("GF121", 4, 32, 7)]
    assert places(checked(graph("b: {agent: copyAgent, label: medical}"), sensitivity_words=["medical"])) == [("GF121", 3, 32, 7)]
