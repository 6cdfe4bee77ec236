"""The graphs of schedules, and the agents in them: what they do is counted by the world, outside of whatever dies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from graphs.agents import standard
from graphs.language.load import load_text
from graphs.registry import Registry, agent
from graphs.values import Value, clean
from reference.graphs import Drawing, answer
from sim.loop import SimLoop

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["MAX_TURNS", "Seeded", "draw_graph", "has_policies", "registry"]

MAX_TURNS: Final = 4
_LARGE: Final = 70_000
"""Characters of a value that does not fit into a record."""


async def _work(context: Any, kind: str) -> World:
    """What every agent does first: it takes its time, and the world takes note."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    world, process = loop.world, loop.owner
    world.hit("execute", process.machine.name)
    if process.alive:
        world.tell(kind, process.name, context.path, context.run)
        seconds = context.params.get("seconds", 0) * world.chance.random()
        await asyncio.sleep(seconds)
        world.hit("executed", process.machine.name)
    if not process.alive:
        await loop.create_future()  # the process was killed: this never goes on
    return world


def _short(value: Any) -> Any:
    """The value with digests in place of long texts: an answer depends on every letter, and is found without writing them all out."""
    if isinstance(value, str):
        return value if len(value) < 200 else (len(value), crc32(value.encode()))
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return [_short(each) for each in value] if isinstance(value, list) else value


@agent("answerAgent", effect="none")
async def answer_agent(context: Any) -> Any:
    """The same answer for the same inputs; it fails as often as it is told to."""
    await _work(context, "answer")
    given = answer(_short(clean(context.inputs)), context.params, context.retry)
    if isinstance(given, BaseException):
        raise given
    if context.params.get("large") and isinstance(given, dict):
        given["text"] = str(given.get("v")) * (_LARGE * int(context.params["large"]))
    return given


@agent("deedAgent", effect="once")
async def deed_agent(context: Any) -> Any:
    """What must never happen twice."""
    await _work(context, "deed")
    return answer(_short(clean(context.inputs)), {}, 0)


@agent("songAgent", effect="none", stream=True)
async def song_agent(context: Any) -> Any:
    """It says its answer word by word."""
    await _work(context, "song")
    words = [f"{number} " for number in range(12)]
    for word in words:
        context.stream(word)
        await asyncio.sleep(context.params.get("seconds", 0) / 12)
    return {"v": 3, "text": "".join(words), "flag": True}


def registry() -> Registry:
    """What the drawn graphs name."""
    return standard().with_agents([answer_agent, deed_agent, song_agent])


class Seeded(Drawing):
    """Draws from a seed, without hypothesis."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def one_in(self, number: int) -> bool:
        return self.chance.random() * number < 1

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.chance.random() * len(items))]

    def up_to(self, most: int, least: int = 0) -> int:
        return least + int(self.chance.random() * (most - least + 1))

    def shuffled(self, items: list[str]) -> list[str]:
        self.chance.shuffle(items)
        return items


_BY_TURNS: Final = """\
version: 0.5
nodes:
  start: {value: {n: 1}}
  a: {agent: answerAgent, place: cloud, inputs: {x: :start}}
  b: {agent: answerAgent, place: edge, inputs: {x: :a}}
  paid: {agent: deedAgent, place: cloud, inputs: {x: :b.v}}
  song: {agent: songAgent, place: cloud, isResult: true, inputs: {x: :a}}
  rows:
    agent: mapAgent
    inputs: {rows: [1, 2, 3]}
    graph:
      nodes:
        far: {agent: answerAgent, place: cloud, inputs: {x: :row}}
        near: {agent: answerAgent, place: edge, isResult: true, inputs: {x: :far}}
  sent: {agent: deedAgent, place: edge, inputs: {x: :paid}}
  c: {agent: answerAgent, place: cloud, inputs: {x: :sent, y: :rows, z: :song}}
  d: {agent: answerAgent, place: edge, inputs: {x: :c}}
  end: {agent: answerAgent, place: cloud, isResult: true, inputs: {x: :d, y: :paid}}
"""

_CHAIN: Final = """\
version: 0.5
nodes:
  start: {value: {n: 1}}
  a: {agent: answerAgent, place: cloud, inputs: {x: :start}, params: {large: true}}
  b: {agent: answerAgent, place: cloud, inputs: {x: :a}}
  paid: {agent: deedAgent, place: cloud, inputs: {x: :b}}
  near: {agent: answerAgent, place: edge, inputs: {x: :paid, y: :a}, params: {large: true}}
  end: {agent: answerAgent, place: cloud, isResult: true, inputs: {x: :near}}
"""

_LOOP: Final = """\
version: 0.5
loop: {count: 3}
nodes:
  state: {value: 0, update: :back.v}
  far: {agent: answerAgent, place: cloud, inputs: {x: :state}, retry: 1, params: {fails: 1}}
  paid: {agent: deedAgent, place: cloud, inputs: {x: :far.v}}
  back: {agent: answerAgent, place: edge, isResult: true, inputs: {x: :far.v, y: :paid.v}}
"""

_KNOWN: Final = tuple(load_text(text).data for text in (_BY_TURNS, _CHAIN, _LOOP))


def draw_graph(chance: random.Random) -> dict[str, Value]:
    """A graph whose results depend on nothing but its inputs: one of three that show much, or any."""
    if chance.random() < 0.4:
        graph: dict[str, Any] = _copy(chance.choice(_KNOWN))
    else:
        drawing = Seeded(chance)
        graph = _without_races(drawing.graph(1 if chance.random() < 0.75 else 0))
        graph["concurrency"] = drawing.pick([1, 2, 8, 8, {"global": 3, "labels": {"a": 1}}])
    for node in _computed(graph):
        _settle(node, chance)
    return graph


def has_policies(graph: Mapping[str, Value]) -> bool:
    """Whether a node of the graph may run on the device while its worker is away."""
    return any(isinstance(node.get("place"), dict) for node in _computed(graph))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _without_races(value: Any) -> Any:
    """Without what depends on time by design: anyInput on the order of arrival, time-outs on how slow everybody is."""
    if isinstance(value, dict):
        return {key: _without_races(item) for key, item in value.items() if key not in ("anyInput", "timeout")}
    return [_without_races(item) for item in value] if isinstance(value, list) else value


def _computed(graph: Any) -> Iterator[dict[str, Any]]:
    for node in graph["nodes"].values():
        if "agent" in node:
            yield node
        if isinstance(node.get("graph"), dict):
            yield from _computed(node["graph"])


def _settle(node: dict[str, Any], chance: random.Random) -> None:
    """Where a node runs, how long it takes, and whether it does something that must not be done twice."""
    name = node["agent"]
    if name == "absentAgent" or (isinstance(name, str) and name.startswith(":")):
        name = node["agent"] = "answerAgent"
    if "place" not in node and "graph" not in node:
        node["place"] = chance.choice(("cloud", "cloud", "edge"))
    elif "graph" in node and chance.random() < 0.3:
        node["place"] = "cloud"
        for inner in _computed(node["graph"]):
            inner["place"] = "cloud"
    if (
        node.get("place") == "cloud" and chance.random() < 0.2
    ):  # the alternative of an agent that gives the same again is that agent
        node["place"] = {"at": "cloud", "offline": "local"}
    if name != "answerAgent" and "graph" in node:
        return
    params = node["params"] = dict(node.get("params") or {})
    params["seconds"] = chance.choice((0, 0.01, 0.1, 2, 2, 60))
    if name == "answerAgent" and not params.get("fails") and "repeatUntil" not in node:
        kind = chance.random()
        if kind < 0.12:
            node["agent"] = "deedAgent"
            node.pop("retry", None)
        elif kind < 0.2:
            node["agent"] = "songAgent"
        elif kind < 0.25:
            params["large"] = True
