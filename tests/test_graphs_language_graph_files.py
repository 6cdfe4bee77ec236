"""Graphs in files of their own: put in their place, found only beside the graph, and every failure told at its node."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.errors import GraphInvalid
from graphs.language.graph_files import MAX_LOADED, beside, with_graphs
from graphs.language.load import Document, load_file

INNER = "nodes:\n  n: {agent: copyAgent, inputs: {x: ':x'}, isResult: true}\n"


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "main.yaml"


def loaded(path: Path) -> Document:
    return with_graphs(load_file(path, file=path.name), beside(path))


def told(path: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(GraphInvalid) as caught:
        loaded(path)
    return [(each.code, each.line, each.message) for each in caught.value.problems]


def test_a_graph_is_put_in_its_place_and_so_are_those_it_loads(tmp_path: Path) -> None:
    outer = "nodes:\n  m: {agent: nestedAgent, inputs: {x: 1}, graphLoader: {fileName: middle.yaml}}\n"
    middle = "nodes:\n  i: {agent: nestedAgent, inputs: {x: ':x'}, graphLoader: {fileName: inner.yaml}}\n"
    data = loaded(written(tmp_path, main=outer, middle=middle, inner=INNER)).data
    inner = data["nodes"]["m"]["graph"]["nodes"]["i"]["graph"]
    assert inner["nodes"]["n"]["agent"] == "copyAgent"
    assert list(data["nodes"]["m"]) == ["agent", "inputs", "graphLoader", "graph"]


def test_a_graph_that_is_there_is_not_loaded_and_a_document_without_loaders_stays_itself(tmp_path: Path) -> None:
    path = written(
        tmp_path, main="nodes:\n  m: {agent: nestedAgent, graph: {nodes: {a: {value: 1}}}, graphLoader: {fileName: gone.yaml}}\n"
    )
    document = load_file(path)
    assert with_graphs(document, beside(path)) is document


def test_what_cannot_be_loaded_is_told_at_its_node(tmp_path: Path) -> None:
    text = "nodes:\n  a: {agent: nestedAgent, graphLoader: {fileName: gone.yaml}}\n  b: {agent: mapAgent, graphLoader: {option: 1}}\n"
    found = told(
        written(tmp_path, main=text + "  c: {agent: nestedAgent, graphLoader: {fileName: bad.yaml}}\n", bad="nodes: [\n")
    )
    assert [(code, line) for code, line, _ in found] == [("GF100", 2), ("GF100", 3), ("GF100", 4)]
    assert "cannot read gone.yaml" in found[0][2]
    assert "no `fileName`" in found[1][2]
    assert "bad.yaml, line" in found[2][2]


@pytest.mark.parametrize("name", ["../secret.yaml", "/etc/hostname"])
def test_nothing_outside_the_graphs_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.yaml").write_text(INNER)
    (tmp_path / "here").mkdir()
    path = written(tmp_path / "here", main=f"nodes:\n  a: {{agent: nestedAgent, graphLoader: {{fileName: {name}}}}}\n")
    ((_, _, message),) = told(path)
    assert "is not in the folder of main.yaml" in message


def test_graphs_that_load_each_other_come_to_an_end(tmp_path: Path) -> None:
    text = "nodes:\n  a: {agent: nestedAgent, graphLoader: {fileName: main.yaml}}\n"
    ((code, _, message),) = told(written(tmp_path, main=text))
    assert code == "GF108"
    assert str(MAX_LOADED) in message
