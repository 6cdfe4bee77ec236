"""Vectors of canonical forms and hashes of graphs, cuts included (docs/protocol.md §7, §21)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphs.agents import standard
from graphs.language.cut import cut
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.values import canonical, graph_hash
from protocol.tagged import tag

__all__ = ["vectors"]

WHOLE: Mapping[str, str] = {
    "smallest": "nodes: {}",
    "one static node": "nodes: {a: {value: 1}}",
    "version 0.5": "version: 0.5\nnodes: {}",
    "version 0.5, keys the other way": "nodes: {}\nversion: 0.5",
    "two nodes": "nodes: {a: {value: 1}, b: {value: 2}}",
    "two nodes, keys the other way": "nodes: {b: {value: 2}, a: {value: 1}}",
    "digits as keys keep their order": "nodes: {a: {value: {'10': x, '9': y, '1': z}}}",
    "1": "nodes: {a: {value: 1}}",
    "1.0 is 1": "nodes: {a: {value: 1.0}}",
    "1.5": "nodes: {a: {value: 1.5}}",
    "-0.0 is 0": "nodes: {a: {value: -0.0}}",
    "2^53 - 1": "nodes: {a: {value: 9007199254740991}}",
    "2^53 - 1 as a float is an integer": "nodes: {a: {value: 9007199254740991.0}}",
    "2^53": "nodes: {a: {value: 9007199254740992}}",
    "2^53 as a float stays one": "nodes: {a: {value: 9007199254740992.0}}",
    "1e300": "nodes: {a: {value: 1.0e+300}}",
    "a small float": "nodes: {a: {value: 1.0e-7}}",
    "negative numbers": "nodes: {a: {value: [-1, -32, -33, -128, -129, -32768, -32769, -2147483649]}}",
    "every width of unsigned": "nodes: {a: {value: [127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296]}}",
    "null and booleans": "nodes: {a: {value: [null, true, false]}}",
    "emoji keys": 'nodes: {a: {value: {"🛶": 1, "é": 2, "e\\u0301": 3, "": 4}}}',
    "text of 31 and 32 bytes": f"nodes: {{a: {{value: [{'x' * 31}, {'x' * 32}]}}}}",
    "text of 255 and 256 bytes": f"nodes: {{a: {{value: [{'x' * 255}, {'x' * 256}]}}}}",
    "lists of 15 and 16": f"nodes: {{a: {{value: [{[0] * 15}, {[0] * 16}]}}}}",
    "a map of 16": "nodes: {a: {value: {" + ", ".join(f"k{number}: {number}" for number in range(16)) + "}}}",
    "text that looks like tags": "nodes: {a: {value: {$bin: '00', $map: []}}}",
    "a computed node": "version: 0.5\nnodes: {a: {agent: copyAgent, inputs: {x: ':b.y'}, isResult: true}, b: {value: {y: 1}}}",
    "YAML 1.2: yes is text": "nodes: {a: {value: [yes, no, on, off, 0o17, 1_000, ~]}}",
    "a text block": "nodes:\n  a:\n    value: |\n      one\n      two\n",
}

CHAIN = """version: 0.5
metadata: {note: stays on the device}
nodes:
  topic: {value: tides}
  outline: {agent: copyAgent, inputs: {text: ':topic'}}
  draft: {agent: copyAgent, inputs: {text: ':outline.text'}}
  critique: {agent: copyAgent, inputs: {text: ':draft.text', topic: ':topic'}}
  final: {agent: copyAgent, inputs: {text: ':critique.text'}, isResult: true}
"""
BRANCH = """version: 0.5
concurrency: 4
nodes:
  text: {value: hello}
  judge: {agent: copyAgent, inputs: {x: ':text'}}
  polish: {agent: copyAgent, inputs: {x: ':text'}, if: ':judge.bad'}
  publish: {agent: copyAgent, inputs: {x: ':polish.x'}}
"""
LOOP = """version: 0.5
loop: {count: 3}
nodes:
  n: {value: 0, update: ':more'}
  more: {agent: copyAgent, inputs: {x: ':n'}, params: {namedKey: x}}
  other: {agent: copyAgent, inputs: {x: ':n'}}
"""
SECRET = """version: 0.5
nodes:
  secret: {value: s3cret, sensitivity: [private]}
  a: {agent: copyAgent, inputs: {x: ':secret'}}
  b: {agent: copyAgent, inputs: {x: ':a'}}
"""

CUTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "cut: the rest of a chain": (CHAIN, ["draft", "critique", "final"]),
    "cut: one node of a chain": (CHAIN, ["critique"]),
    "cut: all of a chain": (CHAIN, ["outline", "draft", "critique", "final"]),
    "cut: a branch across": (BRANCH, ["judge", "publish"]),
    "cut: a condition counts as named": (BRANCH, ["polish"]),
    "cut: a whole loop keeps it": (LOOP, ["more", "other"]),
    "cut: a split loop loses it": (LOOP, ["more"]),
    "cut: a labelled value stays": (SECRET, ["a", "b"]),
}


def vectors() -> list[dict[str, Any]]:
    """All of them, in the order of the file."""
    return [*(_line(name, text, None) for name, text in WHOLE.items()), *(_line(name, *each) for name, each in CUTS.items())]


def _line(name: str, text: str, nodes: Sequence[str] | None) -> dict[str, Any]:
    document = load_text(text).data
    if nodes is not None:
        document = cut(Graph.of(document, set(standard())), nodes).document
    vector: dict[str, Any] = {"name": name, "kind": "graph", "yaml": text}
    if nodes is not None:
        vector["nodes"] = list(nodes)
    canonical_bytes = canonical(document, strict=True)
    return {**vector, "value": tag(document), "canonical_hex": canonical_bytes.hex(), "sha256": graph_hash(document).hex()}
