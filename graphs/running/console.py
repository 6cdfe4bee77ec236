"""What the attribute `console` prints: a node's inputs before it runs, its value after (graph-spec §3). Printing only; nothing depends on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphs.engine.events import Settled, Start
from graphs.language.jstext import json_text, text
from graphs.language.refs import compile_output
from graphs.states import State
from graphs.values import Value, clean

__all__ = ["Console", "prints"]


def prints(nodes: Mapping[str, Any]) -> bool:
    """Whether any of these nodes, or one of a graph written inside them, has something to print."""
    for spec in nodes.values():
        if isinstance(spec, Mapping):
            graph = spec.get("graph")
            inner = graph.get("nodes") if isinstance(graph, Mapping) else None
            if spec.get("console") or (isinstance(inner, Mapping) and prints(inner)):
                return True
    return False


class Console:
    """A `graphs.running.ports.Observer` that writes lines with `write`."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def started(self, start: Start, t: float) -> None:  # noqa: ARG002 - the port hands it over
        before = _part(start.node.spec.get("console"), "before")
        if before is True:
            self._write(_shown(start.inputs))
        elif before:
            self._write(_shown(before))

    def settled(
        self,
        event: Settled,
        by: Mapping[str, Value],  # noqa: ARG002 - the port hands it over
        usage: Mapping[str, Value] | None,  # noqa: ARG002
        t: float,  # noqa: ARG002
    ) -> None:
        after = _part(event.node.spec.get("console"), "after")
        if event.state != State.COMPLETED or not after:
            return
        if after is True:
            self._write(_shown(event.value))
        else:
            self._write(_shown(compile_output(after)(event.value) if isinstance(after, Mapping) else after))

    def erred(self, start: Start, error: BaseException, final: bool, t: float) -> None:
        """Errors are told elsewhere."""

    def token(self, start: Start, token: Value) -> None:
        """Tokens are shown elsewhere."""


def _part(console: Any, which: str) -> Any:
    return console.get(which) if isinstance(console, Mapping) else console is True


def _shown(value: Value) -> str:
    return text(value) if isinstance(value, str) else json_text(clean(value))
