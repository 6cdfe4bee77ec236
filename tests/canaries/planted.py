"""The texts that are planted, the graphs they are in, and the agents that carry them around in every form they can think of."""

from __future__ import annotations

import base64
import hashlib
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphs.agents import standard
from graphs.errors import NodeError
from graphs.registry import Registry, agent
from graphs.values import Value, canonical, clean
from reference.graphs import answer
from sim.graphs import Seeded

__all__ = ["DIARY", "LABELS", "MODELS", "Canary", "Planted", "plant", "registry"]

LABELS: Final = ("amber", "blue", "crimson")
MODELS: Final = ("small", "large")
"""The first is on the device, too, the second at the worker."""
_LETTERS: Final = string.ascii_letters + string.digits
_LONG, _WINDOW = 24, 8
_LARGE: Final = 70_000


@dataclass(frozen=True)
class Canary:
    """A text nobody could guess, and the labels of the value it is planted in."""

    text: str
    labels: frozenset[str]

    def forms(self) -> Iterator[bytes]:
        """What of it must not be on the wire: every part of it, and what can be made of it without a key."""
        raw = self.text.encode()
        for start in range(len(raw) - _WINDOW + 1):
            yield raw[start : start + _WINDOW]
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        for shift in range(3):
            yield base64.b64encode(b"x" * shift + raw)[4:-4]
        for data in (raw, canonical(self.text), b'"' + raw + b'"'):
            for name in ("sha256", "sha1", "md5"):
                digest = hashlib.new(name, data, usedforsecurity=False)
                yield digest.digest()
                yield digest.hexdigest().encode()
                yield base64.b64encode(digest.digest())[:-1]


@dataclass
class Planted:
    """A graph and what is said when it is run. `dynamic` says that it opens graphs that are values."""

    graph: dict[str, Any]
    canaries: list[Canary] = field(default_factory=list)
    inject: dict[str, Value] = field(default_factory=dict)
    dynamic: bool = False


# -- agents


def _texts(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif isinstance(item, Mapping):
        for each in item.values():
            yield from _texts(each)
    elif isinstance(item, (list, tuple)):
        for each in item:
            yield from _texts(each)


def _said(context: Any) -> str:
    """The texts an agent was handed, not so long that they grow without end."""
    return " ".join(dict.fromkeys(_texts([clean(context.inputs), context.params.get("note")])))[:2_000]


def _made(context: Any) -> Any:
    said = _said(context)
    given = answer(clean(context.inputs), context.params, context.retry)
    if isinstance(given, BaseException):
        raise NodeError(f"{given} over {said!r} {said.encode().hex()}", detail={"read": said})
    if not isinstance(given, dict):
        return [given, said]
    raw = said.encode()
    given["text"] = said
    given["rows"] = [said, *given.get("rows", [])][:3]
    given["forms"] = [base64.b64encode(raw).decode(), raw.hex(), hashlib.sha256(raw).hexdigest(), raw]
    if context.params.get("large"):
        given["padded"] = said + "." * _LARGE
    return given


@agent("mixAgent", effect="none")
async def mix_agent(context: Any) -> Any:
    """Everything it was handed, in several forms; its errors tell it all, too."""
    return _made(context)


@agent("deedAgent", effect="once")
async def deed_agent(context: Any) -> Any:
    """As mixAgent, with an effect, so that it is told when it begins."""
    return _made(context)


@agent("songAgent", effect="none", stream=True)
async def song_agent(context: Any) -> Any:
    """Says all it was handed while it makes its answer."""
    said = _said(context)
    for start in range(0, len(said), 10):
        context.stream(said[start : start + 10])
    context.stream({"whole": said})
    return _made(context)


DIARY: Final[dict[str, str]] = {}
"""What `diaryAgent` reads, by page."""


@agent("diaryAgent", effect="none", labels=["amber"], needs=["files"])
async def diary_agent(context: Any) -> Any:
    """A page that is on one device only; that it is labelled, nobody else knows."""
    text = DIARY[context.params["page"]]
    return {"v": 2, "flag": True, "rows": [text, text[:12]], "text": text}


def registry(*, diary: bool = False) -> Registry:
    """What the graphs name; the `diary` is only on the device that they are made on."""
    return standard().with_agents([mix_agent, deed_agent, song_agent, *([diary_agent] if diary else [])])


# -- graphs


def plant(chance: random.Random) -> Planted:
    """A random graph with canaries in some of its values."""
    planted = Planted({})
    graph: dict[str, Any] = Seeded(chance).graph(0)
    planted.graph = graph
    _dress(graph, planted, chance, top=True)
    if chance.random() < 0.2:
        labels = _some(chance)
        graph["inputs"] = {"topic": {"default": _canary(planted, labels, chance), "sensitivity": sorted(labels)}}
        graph["nodes"]["reads"] = {"agent": "songAgent", "inputs": {"t": "about ${:topic}"}, "isResult": True}
        if chance.random() < 0.5:
            graph["nodes"]["reads"]["place"] = "cloud"
    for name, node in graph["nodes"].items():
        if "agent" not in node and chance.random() < 0.2:
            words = node.get("sensitivity") or ()
            labels = frozenset([words] if isinstance(words, str) else words)
            planted.inject[name] = _value(planted, labels, chance) if labels else {"v": 3, "rows": [1]}
    return planted


def _dress(graph: dict[str, Any], planted: Planted, chance: random.Random, *, top: bool = False) -> None:
    nodes: dict[str, Any] = graph["nodes"]
    for node in list(nodes.values()):
        if "agent" not in node:
            _dress_static(node, planted, chance)
            continue
        if chance.random() < 0.3:
            node["place"] = chance.choice(["edge", "cloud"])
        if isinstance(node.get("graph"), dict):
            _dress(node["graph"], planted, chance)
        elif node["agent"] in ("answerAgent", "absentAgent") or chance.random() < 0.8:
            node["agent"] = chance.choice(["mixAgent", "mixAgent", "mixAgent", "songAgent", "deedAgent"])
            if chance.random() < 0.05:
                node["params"] = {**node.get("params", {}), "large": True}
            if chance.random() < 0.5:
                node.get("params", {}).pop("fails", None)
        node.pop("timeout", None)
        if "graph" in node:
            continue
        drawn = chance.random()
        if drawn < 0.2:
            _ask_models(node, chance)
        elif drawn < 0.25:
            page = f"p{len(DIARY)}"
            DIARY[page] = _canary(planted, frozenset({"amber"}), chance)
            node.update(agent="diaryAgent", params={"page": page})
            node.pop("place", None)
        if chance.random() < 0.1:
            labels = _some(chance)
            node["sensitivity"] = sorted(labels)
            text = _canary(planted, labels, chance)
            if node["agent"] == "llmAgent":
                node["inputs"]["prompt"] += f" {text}"
            else:
                node["params"] = {**node.get("params", {}), "note": text}
    if top and chance.random() < 0.25:
        _open_a_value(nodes, planted, chance)


def _ask_models(node: dict[str, Any], chance: random.Random) -> None:
    """A node that asks a model, or one of several, or a second one where the first is not sure, or late."""
    sources = [each for each in _texts(node.get("inputs")) if each.startswith(":")]
    for key in ("repeatUntil", "params", "output", "passThrough", "anyInput", "retry"):
        node.pop(key, None)
    node.update(agent="llmAgent", inputs={"prompt": " ".join(["say", *(f"${{{each}}}" for each in sources)])})
    how = chance.choice(["model", "any", "escalate", "hedge"])
    if how == "model":
        node["model"] = chance.choice(MODELS)
    elif how == "any":
        del node["agent"]
        node["any"] = chance.sample(
            [{"agent": "llmAgent", "model": "small"}, {"agent": "llmAgent", "model": "large"}, {"agent": "mixAgent"}], k=2
        )
        node["agent"] = "llmAgent"
    elif how == "escalate":
        node.update(model="small", escalate={"below": chance.choice([0.1, 0.8, 1.0]), "to": "large"})
    else:
        node.update(model="small", hedge={"after": chance.choice(["0s", "1ms"]), "to": "large"})


def _open_a_value(nodes: dict[str, Any], planted: Planted, chance: random.Random) -> None:
    """A graph that is a value, with labels of its own in it, opened by a node, whose value others read."""
    inner: dict[str, Any] = Seeded(chance).graph(2, ["x0"])
    _dress(inner, planted, chance)
    for node in inner["nodes"].values():
        node.pop("place", None)
    planted.dynamic = True
    names = [name for name in nodes if "graph" not in nodes[name]]
    nodes["template"] = {"value": inner}
    nodes["opens"] = {
        "agent": "nestedAgent",
        "graph": ":template",
        "inputs": {"x0": f":{chance.choice(names)}"},
        "isResult": True,
    }
    if chance.random() < 0.5:
        nodes["handed"] = {"agent": "copyAgent", "inputs": {"graph": ":template"}}
        nodes["opens"]["graph"] = ":handed.graph"
    nodes["after"] = {"agent": "mixAgent", "inputs": {"x": ":opens", "y": ":template"}, "isResult": True}
    for name in ("opens", "handed", "after"):
        if name in nodes and chance.random() < 0.6:
            nodes[name]["place"] = chance.choice(["edge", "cloud"])


def _dress_static(node: dict[str, Any], planted: Planted, chance: random.Random) -> None:
    if chance.random() < 0.6:
        labels = _some(chance)
        node["sensitivity"] = sorted(labels) if len(labels) > 1 or chance.random() < 0.5 else next(iter(labels))
        if "value" in node:
            node["value"] = _value(planted, labels, chance)


def _value(planted: Planted, labels: frozenset[str], chance: random.Random) -> Value:
    text = _canary(planted, labels, chance)
    return chance.choice([text, {"v": 1, "flag": chance.random() < 0.7, "rows": [text, 2], "text": text}, [text, {"v": text}]])


def _canary(planted: Planted, labels: frozenset[str], chance: random.Random) -> str:
    canary = Canary("".join(chance.choices(_LETTERS, k=_LONG)), labels)
    planted.canaries.append(canary)
    return canary.text


def _some(chance: random.Random) -> frozenset[str]:
    words: Sequence[str] = chance.sample(LABELS, k=chance.choice([1, 1, 1, 2]))
    return frozenset(words)
