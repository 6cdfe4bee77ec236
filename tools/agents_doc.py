"""Writes the catalogue of agents into docs/agents.md, from the registry. A test fails when it is stale.

.venv/bin/python tools/agents_doc.py
"""

# ruff: noqa: INP001 - a script, not a part of any package

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from graphs.agents import standard
from graphs.registry import Agent, Sample
from graphs.values import MISSING, Value, clean

__all__ = ["catalogue", "with_catalogue"]

DOCUMENT: Final = Path(__file__).resolve().parent.parent / "docs" / "agents.md"
BEGIN: Final = "<!-- catalogue: made by tools/agents_doc.py -->\n"
END: Final = "<!-- end of the catalogue -->\n"

TITLES: Final = {
    "llm": "Language models",
    "graph": "Graphs",
    "data": "Data",
    "array": "Lists",
    "string": "Text",
    "matrix": "Numbers and comparing",
    "input": "People and events",
    "privacy": "Privacy",
    "fs": "Files",
    "service": "Network",
    "embedding": "Embeddings",
    "image": "Pictures",
    "sleeper": "Waiting",
    "test": "Trying graphs out",
}
"""The categories in the order they are shown; one that is not here comes last, under its own name."""

EFFECTS: Final = {
    "none": "may run again after a crash",
    "idempotent": "may run again after a crash, with the same key",
    "once": "never runs again by itself after a crash",
}


def catalogue() -> str:
    """All agents, by category."""
    agents = {each.name: each for each in standard().values()}.values()
    order = [*TITLES, *sorted({each.category for each in agents} - set(TITLES))]
    lines: list[str] = []
    for category in order:
        those = [each for each in agents if each.category == category]
        if those:
            lines += [f"### {TITLES.get(category, category.capitalize())}", ""]
        for each in those:
            lines += _entry(each)
    return "\n".join(lines) + "\n"


def with_catalogue(text: str) -> str:
    """The document with its catalogue made anew."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{catalogue()}{END}{after}"


def _entry(agent: Agent) -> Iterator[str]:
    yield f"#### `{agent.name}`"
    yield ""
    yield inspect.cleandoc(agent.run.__doc__ or "")
    yield ""
    yield "; ".join(_facts(agent)) + "."
    yield ""
    if agent.samples:
        yield "```json"
        yield _sample(agent.samples[0])
        yield "```"
        yield ""


def _facts(agent: Agent) -> Iterator[str]:
    yield f"Needs {', '.join(sorted(agent.needs)) or 'nothing'}"
    yield f"effect `{agent.effect}`: {EFFECTS[agent.effect]}"
    if agent.cheap:
        yield "quick, so computed again rather than recorded"
    if agent.stream:
        yield "streams"
    if agent.aliases:
        yield "also called " + ", ".join(f"`{name}`" for name in agent.aliases)


def _sample(sample: Sample) -> str:
    parts: dict[str, Value] = {"inputs": sample.inputs, "params": sample.params, "graph": sample.graph, "result": sample.result}
    shown = [f'"{key}": {_json(value)}' for key, value in parts.items() if value not in (None, {}, MISSING) or key == "result"]
    return "{" + ",\n ".join(shown) + "}"


def _json(value: Value) -> str:
    return json.dumps(None if value is MISSING else clean(value), ensure_ascii=False)


if __name__ == "__main__":
    DOCUMENT.write_text(with_catalogue(DOCUMENT.read_text()))
