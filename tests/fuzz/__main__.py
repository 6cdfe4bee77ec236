"""Throws random graphs at load, check and run, and stops at whatever is no refusal: `python -m tests.fuzz --seed N --count N`.

Graphs are mutations of the conformance cases, the examples and the hostile ones; texts are mutations of their texts. Each run has
tight limits and a process whose memory is limited; a share of them is cut at
random and goes to a worker over a real link. A failure prints its seed and round: `--only ROUND` repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import graphferry as gf
from graphferry.testing import ScriptedModel, worker_in_process
from graphs.agents import standard
from graphs.bounds import UNTRUSTED, with_limits
from graphs.errors import GraphferryError, GraphInvalid, UsageError
from graphs.language.load import load_data, load_text
from graphs.language.spec import Graph
from graphs.language.write import to_yaml

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from hostile import GRAPHS  # noqa: E402 - the tests' own folder has to be on the path

LIMITS: Final = {
    "seconds": 2, "nodes": 3_000, "turns": 200, "rows": 200, "value_bytes": 2**19, "run_bytes": 2**22, "retries": 20, "graphs": 50,
}  # fmt: skip
SLOWEST: Final = 60.0
"""Seconds after which a round counts as one that does not end: many times what its limits grant, for a busy machine."""
MEMORY: Final = 2 * 2**30
SHIPPED: Final = 0.2
"""Of the valid graphs, how many run with some of their nodes at a worker."""

AGENTS: Final = sorted(name for name, each in standard().items() if not each.needs & {"files", "network", "people"})
WORDS: Final = [
    ":a", ":x.y", ":n.$0", ":more", "${:a}${:a}", "${@now}", "@loop", ":x.flat()", ":x.split(,)", ":x.toJSON()", ":x.jsonParse()",
    ":x.join(,)", ":x.codeBlock()", ":x.sum()", ":row", "```\n```", "", "${:", "\ud83d", "\u2028", "<<", "&a", "*a", ":", ".", ":a.add(1)",
]  # fmt: skip
KEYS: Final = [
    "agent", "inputs", "params", "graph", "if", "unless", "retry", "timeout", "isResult", "value", "update", "loop", "count", "while",
    "concurrency", "nodes", "anyInput", "defaultValue", "output", "passThrough", "repeatUntil", "rows", "array", "items", "template",
    "limit", "expandKeys", "supressError", "label", "priority", "console", "place", "model",
]  # fmt: skip
_INNER: Final = frozenset({"nodes", "inputs", "params", "value", "graph", "rows", "array"})
"""Where most changes go: elsewhere nearly all of them only make a graph invalid."""
NUMBERS: Final = [0, 1, -1, 2, 3, 7, 0.5, 1e308, -1e308, 2**63, 10**12, 100, 5e-324]


def seeds() -> list[Any]:
    """The documents that mutations begin with."""
    import yaml

    found: list[Any] = [each.make() for each in GRAPHS if len(str(each.make())) < 20_000]
    for path in sorted((ROOT / "tests" / "conformance").rglob("*.yaml")):
        case = yaml.safe_load(path.read_text())
        graph = case.get("graph") if isinstance(case, dict) else None
        if isinstance(graph, dict):
            found.append(graph)
    for path in sorted((ROOT / "graphs" / "examples").glob("*.yaml")):
        found += [load_text(path.read_text()).data]
    return found


class Mutator:
    """Changes documents and texts, by one source of chance."""

    def __init__(self, chance: random.Random, documents: list[Any]) -> None:
        self.chance = chance
        self.documents = documents

    def document(self) -> Any:
        found = json.loads(json.dumps(self.chance.choice(self.documents), default=str))
        for _ in range(self.chance.randint(0, 3)):
            found = self.changed(found)
        return found

    def changed(self, value: Any) -> Any:
        """The value with something in it replaced, moved, doubled or dropped."""
        chance = self.chance
        if isinstance(value, dict) and value and chance.random() < 0.85:
            inner = [key for key in value if key in _INNER] if chance.random() < 0.9 else []
            key = chance.choice(inner or list(value))
            kind = chance.random()
            if kind < 0.7:
                return {**value, key: self.changed(value[key])}
            if kind < 0.8:
                return {name: item for name, item in value.items() if name != key}
            return {**value, chance.choice([*KEYS, key, "x", "a"]): chance.choice([value[key], self.anything()])}
        if isinstance(value, list) and value and chance.random() < 0.7:
            at = chance.randrange(len(value))
            return [*value[:at], self.changed(value[at]), *value[at:]]
        return self.anything()

    def anything(self) -> Any:
        chance = self.chance
        kinds: list[Callable[[], Any]] = [
            lambda: chance.choice(WORDS),
            lambda: chance.choice(WORDS) * chance.randint(1, 50),
            lambda: chance.choice(AGENTS),
            lambda: chance.choice(NUMBERS),
            lambda: chance.choice([None, True, False, [], {}]),
            lambda: [self.anything() for _ in range(chance.randint(0, 3))],
            lambda: {chance.choice(KEYS): self.anything() for _ in range(chance.randint(0, 3))},
            lambda: {
                "agent": chance.choice(AGENTS),
                "inputs": {"array": chance.choice(WORDS)},
                "params": {chance.choice(KEYS): 1},
            },
            lambda: chance.choice(self.documents),
        ]
        return chance.choice(kinds)()

    def text(self) -> str | bytes:
        """A text: that of a document with some of it cut, doubled or replaced; now and then any bytes."""
        chance = self.chance
        if chance.random() < 0.1:
            return chance.randbytes(chance.randint(0, 400))
        document = self.document()
        try:
            text = to_yaml(document) if chance.random() < 0.5 else json.dumps(document)
        except Exception:  # noqa: BLE001 - not every mutation can be written; this is about reading
            text = repr(document)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(text) + 1)
            end = min(len(text), at + chance.randint(0, 40))
            put = chance.choice(
                ["", text[at:end] * chance.randint(2, 30), chance.choice("{}[]:,&*!%@`\"'|>-?#\t\n\x00\u2028<"), *WORDS]
            )
            text = text[:at] + put + text[end:]
        return text


def placed(chance: random.Random, document: Any) -> Any:
    """The same graph with some of its nodes at the worker."""
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), dict):
        return document
    nodes = dict(document["nodes"])
    for name, spec in nodes.items():
        if isinstance(spec, dict) and "agent" in spec:
            nodes[name] = (
                {**spec, "graph": placed(chance, spec.get("graph"))} if isinstance(spec.get("graph"), dict) else dict(spec)
            )
            nodes[name]["place"] = chance.choice(["edge", "cloud", "auto"])
    return {**document, "nodes": nodes}


async def ferried(document: Any) -> Any:
    """A graph's run with a worker over a real link."""
    async with worker_in_process(models=ScriptedModel(), bounds=with_limits(UNTRUSTED, LIMITS, where="fuzz")) as worker:
        return await worker.run(document, models=ScriptedModel(), untrusted=True, limits=LIMITS)


async def run(document: Any, *, ferry: bool) -> str:
    """How a graph's run ended; nothing is left running after it."""
    before = asyncio.all_tasks()
    if ferry:
        ended = await ferried(document)
    else:
        ended = await gf.arun(document, models=ScriptedModel(), untrusted=True, limits=LIMITS)
    left = asyncio.all_tasks() - before
    assert not left, f"left running: {left}"
    for node, error in ended.errors.items():
        if not isinstance(error, GraphferryError):
            raise AssertionError(f"node {node!r} failed with no error of ours") from error
    status: str = ended.status
    return status


def one_round(chance: random.Random, documents: list[Any]) -> str:
    """Load, check and run something; gives what became of it. Raises what no graph may lead to."""
    mutator = Mutator(chance, documents)
    try:
        document = load_text(mutator.text()) if chance.random() < 0.25 else load_data(mutator.document())
        graph = Graph.of(document.data, standard().keys(), marks=document.marks)
        if chance.random() >= SHIPPED:
            return asyncio.run(run(graph, ferry=False))
        there = load_data(placed(chance, document.data))
        return "ferried, " + asyncio.run(run(Graph.of(there.data, standard().keys(), marks=there.marks), ferry=True))
    except GraphInvalid:
        return "invalid"
    except UsageError:
        return "refused"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", type=int, default=None, help="this round alone")
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if args.seed is None else args.seed
    print(f"fuzz: --seed {seed} --count {args.count}", flush=True)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        print("fuzz: memory cannot be limited here")
    documents = seeds()
    counts: dict[str, int] = {}
    for number in range(args.count) if args.only is None else [args.only]:
        chance = random.Random(f"{seed}.{number}")
        began = time.monotonic()
        try:
            became = one_round(chance, documents)
            if time.monotonic() - began > SLOWEST:
                raise TimeoutError(f"took {time.monotonic() - began:.1f} s")
        except BaseException as error:
            print(f"fuzz: round {number} of seed {seed}: {type(error).__name__}: {str(error)[:500]}", flush=True)
            if isinstance(error, GraphferryError):
                print("fuzz: a typed error, but none that loading, checking or running may raise")
            raise
        counts[became] = counts.get(became, 0) + 1
    print(f"fuzz: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
