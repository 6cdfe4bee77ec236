"""Drawn graphs read by those who made the formats: Mermaid's parser (where `npm ci` was run in tests/drawing) and Graphviz's `dot`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from graphs.drawing.draw import draw
from graphs.language.load import load_text
from graphs.language.spec import Graph
from tests.conformance.harness import load_case

ROOT = Path(__file__).parents[2]
DRAWING = ROOT / "tests" / "drawing"
REQUIRED = os.environ.get("GRAPHFERRY_REQUIRE_PARSERS") == "1"
"""Set where their absence is a failure."""

COPY = {"agent": "copyAgent", "inputs": {"x": 1}}
WORDS = [
    "end", "graph", "subgraph", "class", "style", "click", "default", "o", "x", "a b", 'q"u<o>te', "x%y/z#1", "日本", "[]{}()", "`md`",
    "a;b", "&amp;", "#quot;", "back\\slash", "new\nline", "--> ", "|p|", "%% no", "-", "'", "1",
]  # fmt: skip
"""Names that mean something in one format or the other."""


def graphs() -> list[tuple[str, Graph]]:
    """Every example, every conformance case that is a graph, and one of awkward names."""
    found = [
        (path.stem, Graph(load_text(path.read_text()).data)) for path in sorted((ROOT / "graphs" / "examples").glob("*.yaml"))
    ]
    for path in sorted((ROOT / "tests" / "conformance").rglob("*.yaml")):
        document = load_case(path)["graph"]
        if isinstance(document, dict) and isinstance(document.get("nodes"), dict):
            found.append((path.stem, Graph(document)))
    inner: dict[str, Any] = {"agent": "nestedAgent", "graph": {"nodes": dict.fromkeys(WORDS, COPY)}}
    nodes = {name: {"agent": "copyAgent", "if": f":{before}"} for before, name in pairwise(WORDS)}
    found.append(("awkward", Graph({"version": 0.5, "nodes": {WORDS[0]: COPY, **nodes, "inner": inner}})))
    return found


def _lacking(why: str) -> None:
    if REQUIRED:
        pytest.fail(why)
    pytest.skip(f"the drawings were not read: {why}")


def test_mermaid_reads_every_drawing() -> None:
    if shutil.which("node") is None or not (DRAWING / "node_modules").exists():
        _lacking("Mermaid is not here (Node 20 or newer, then `npm ci` in tests/drawing: 180 MB)")
    names, texts = zip(*((name, draw(graph, "mermaid")) for name, graph in graphs()), strict=True)
    done = subprocess.run(
        ["node", "parse.mjs"], cwd=DRAWING, input=json.dumps(texts), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {name: said for name, said in zip(names, json.loads(done.stdout), strict=True) if said != "ok"} == {}


def test_graphviz_reads_every_drawing() -> None:
    if shutil.which("dot") is None:
        _lacking("Graphviz is not here (on Debian: apt-get install graphviz)")
    drawn = graphs()
    text = "\n".join(draw(graph, "dot") for _, graph in drawn)
    done = subprocess.run(["dot", "-Tcanon"], input=text, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("digraph") == len(drawn)
