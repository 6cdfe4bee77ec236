"""Retracing: which results of a run hold for a run of the same graph that begins with other values, or does something again. Pure.

The engine itself says so. It runs the graph a first time with everything that is known, which tells what each execution was handed; and a second
time with what changed, where an execution takes its known outcome only if it is handed the same again. What it would really have to run stays
undone, and all that waits for it. So loops, maps, nested graphs and conditions need no rule of their own here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgpack import ExtType

from graphs.engine.engine import Engine
from graphs.engine.events import Begin, Command, Completed, Failed, Outcome, Settled, Start, Suspend, Told
from graphs.errors import NodeError, ValueUnsupported
from graphs.language.refs import names_in
from graphs.language.spec import Graph, is_computed, reads
from graphs.paths import without_tries
from graphs.registry import Agent
from graphs.states import State
from graphs.values import EXT_BLOBREF, MISSING, Value, canonical, clean, decode, digest

__all__ = ["Traced", "apart", "handed_on", "handed_to", "is_below", "retrace", "trace"]

_ROW: Final = re.compile(r"\[\d+\]")
_TURN: Final = re.compile(r"#\d+")
_UNDONE: Final = NodeError("it would have to run")


@dataclass(slots=True)
class Traced:
    """What an engine did with known outcomes. `handed` are the hashes of what each execution was handed, None where it cannot be said in bytes;
    `effects` say of each what a repetition may do; `taken` are the paths whose known outcome counted.
    """

    handed: dict[str, bytes | None] = field(default_factory=dict)
    effects: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


def retrace(
    engine: Callable[[Mapping[str, Outcome]], Engine],
    outcomes: Mapping[str, Outcome],
    *,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    again: Collection[str] = (),
    same_maker: Callable[[str], bool] = lambda _path: True,
    instead: Callable[[str, bytes | None], Outcome | None] = lambda _path, _handed: None,
) -> tuple[set[str], Traced]:
    """The paths whose outcomes hold, and what each execution was handed before.

    `engine` makes an engine that takes these outcomes without looking; `before` and `after` are the values of static nodes that the run began
    with and that the other one begins with; `again` are nodes that are to run again whatever they are handed, as in `is_below`.
    `same_maker` says whether an outcome was made by what would make it now; `instead` may give another one for an execution whose own does not hold.
    """
    skipped, made = apart(outcomes)
    first = trace(engine(skipped), made, before)

    def fits(path: str, handed: bytes | None) -> bool:
        return handed is not None and handed == first.handed.get(path) and same_maker(path)

    second_engine = engine(skipped)
    second = trace(
        second_engine, made, after, hold=lambda path: any(is_below(path, each) for each in again), fits=fits, instead=instead
    )
    kept = second.taken
    kept |= {path for path in skipped if path not in second_engine.known}
    return kept, first


def apart(outcomes: Mapping[str, Outcome]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """The outcomes of what was skipped, which an engine takes as they are, and those of what was done."""
    skipped = {path: outcome for path, outcome in outcomes.items() if outcome.state == State.SKIPPED}
    return skipped, {path: outcome for path, outcome in outcomes.items() if path not in skipped}


def is_below(path: str, node: str) -> bool:
    """Whether a path is of that node, or inside it. A node that is named without rows and turns is meant with all of them."""
    path = without_tries(path)
    if "[" not in node:
        path = _ROW.sub("", path)
    if "#" not in node:
        path = _TURN.sub("", path)
    return path == node or path.startswith((f"{node}/", f"{node}["))


def trace(
    engine: Engine,
    outcomes: Mapping[str, Outcome],
    inject: Mapping[str, Value],
    *,
    hold: Callable[[str], bool] = lambda _path: False,
    fits: Callable[[str, bytes | None], bool] = lambda _path, _handed: True,
    instead: Callable[[str, bytes | None], Outcome | None] = lambda _path, _handed: None,
) -> Traced:
    """Run an engine on known outcomes as far as they go. Cheap agents are computed; nothing else is run.

    `hold` says of a path that its outcome does not count and that it is not computed either, `fits` whether an outcome counts for an attempt
    that is handed this, `instead` which one counts if that does not.
    """
    found = Traced()
    todo: deque[Command] = deque(engine.handle(Begin(0.0, inject)))
    while todo:
        command = todo.popleft()
        if isinstance(command, Start):
            path = command.path
            handed = found.handed[path] = handed_to(command)
            found.effects[path] = _effect(command)
            if hold(path):
                todo.extend(engine.handle(Suspend(command, _UNDONE, 0.0)))
                continue
            outcome = outcomes[path] if path in outcomes and fits(path, handed) else instead(path, handed)
            if outcome is not None:
                found.taken.add(path)
                engine.elsewhere.expect(command)
                todo.extend(engine.handle(Told(path, outcome, 0.0)))
            else:
                todo.extend(engine.handle(_computed(command)))
        elif isinstance(command, Settled) and command.state == State.COMPLETED and command.start is not None:
            _opened(command.path, command.start, found, outcomes, fits)
    return found


def _opened(
    path: str,
    start: Start,
    found: Traced,
    outcomes: Mapping[str, Outcome],
    fits: Callable[[str, bytes | None], bool],
) -> None:
    """A node that opens a graph completed, which the engine does by itself."""
    if path in found.handed or start.agent is None:
        return
    handed = found.handed[path] = handed_to(start)
    if path in outcomes and fits(path, handed):
        found.taken.add(path)


def _computed(start: Start) -> Completed | Failed | Suspend:
    """What a cheap agent gives; any other one is not run."""
    agent = start.agent
    if agent is None or not agent.cheap or agent.blocking:
        return Suspend(start, _UNDONE, 0.0)
    try:
        value: Any = agent.run(start)
        if hasattr(value, "send") and hasattr(value, "throw"):
            return _stepped(start, value)
    except Exception as error:  # noqa: BLE001 - an agent may raise anything
        return Failed(start, error, 0.0)
    return Completed(start, value, 0.0)


def _stepped(start: Start, coroutine: Any) -> Completed | Suspend:
    """An async agent that does not really wait gives its value at the first step."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return Completed(start, end.value, 0.0)
    coroutine.close()
    return Suspend(start, _UNDONE, 0.0)


def handed_to(start: Start) -> bytes | None:
    """The hash of what an execution is handed: agent, inputs and params; None if it cannot be said in bytes. An input counts by its hash: it
    is the same whether the value is here or only its name.
    """
    name = start.agent.name if start.agent is not None else start.node.spec.get("agent")
    try:
        inputs = {key: _hash_of(value) for key, value in start.inputs.items() if value is not MISSING}
        return digest(canonical([name, inputs, clean(start.params)]))
    except ValueUnsupported:
        return None


def _hash_of(value: Any) -> Value:
    if isinstance(value, ExtType) and value.code == EXT_BLOBREF:
        fields: Any = decode(value.data)
        return fields[0] if isinstance(fields, list) and fields else value
    return digest(canonical(clean(value)))


def handed_on(graph: Graph, agents: Mapping[str, Agent]) -> set[str]:
    """The nodes whose values a trace only hands on, whole, to agents that it does not run: of such a value it needs no more than its
    hash. Only nodes of this graph itself; what it gives may be read around it.
    """
    looked_at = set(names_in((graph.document.get("loop") or {}).get("while")))
    for spec in graph.nodes.values():
        agent = agents.get(str(spec.get("agent")))
        inputs: Any = spec.get("inputs")
        if agent is None or agent.nests is not None or agent.cheap or not isinstance(inputs, Mapping) or not is_computed(spec):
            looked_at.update((*reads(spec), *names_in(spec.get("update"))))
            continue
        whole = {name for name, text in inputs.items() if name != "params" and text in [f":{each}" for each in names_in(text)]}
        looked_at.update(reads({**spec, "inputs": {name: text for name, text in inputs.items() if name not in whole}}))
    return {name for name, spec in graph.nodes.items() if is_computed(spec)} - looked_at


def _effect(start: Start) -> str:
    said: Any = start.node.spec.get("effect")
    return said or (start.agent.effect if start.agent is not None else "once")
