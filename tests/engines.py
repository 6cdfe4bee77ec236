"""A pure engine with a graph, and the commands it gave, for tests that feed it events by hand."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from graphs.agents import standard
from graphs.engine.engine import Engine
from graphs.engine.events import Begin, Command, Completed, Ended, Event, Failed, Opened, Over, Settled, Start, Stop
from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.records import State
from graphs.registry import agent
from graphs.values import Value

__all__ = ["Driven", "in_a_loop"]


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test as a coroutine, in an event loop of its own."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 120))

    return run


@agent("work", effect="none")
def work(_context: Any) -> Value:
    raise AssertionError("nobody runs agents here")


@agent("remote", effect="none")
def remote(_context: Any) -> Value:
    raise AssertionError("nobody runs agents here")


class Driven:
    """An engine, begun. `begin=False` leaves that to the test; `places` says where nodes run if not here."""

    def __init__(self, nodes: Mapping[str, Any], *, begin: bool = True, places: Any = None, **options: Any) -> None:
        registry = standard().with_agents([work, remote])
        document = {"version": 0.5, **options.pop("graph", {}), "nodes": dict(nodes)}
        graph = Graph.of(document, set(registry), bypass=options.get("bypass", ()), allow_cut=True)
        compiler = Compiler(registry, bypass=options.pop("bypass", ()), places=places)
        self.engine = Engine(compiler.plan(graph), compiler, report=True, **options)
        self.commands: list[Command] = []
        self.running: dict[str, Start] = {}
        if begin:
            self.feed(Begin(0.0))

    def feed(self, event: Event) -> list[Command]:
        """Hand over an event; gives the commands it led to."""
        commands = self.engine.handle(event)
        for command in commands:
            if isinstance(command, Start):
                self.running[command.path] = command
            elif isinstance(command, Stop):
                self.running.pop(command.start.path, None)
        self.commands += commands
        return commands

    def complete(self, path: str, value: Value = None) -> list[Command]:
        return self.feed(Completed(self.running.pop(path), value, 1.0))

    def fail(self, path: str, error: BaseException) -> list[Command]:
        return self.feed(Failed(self.running.pop(path), error, 1.0))

    @property
    def ended(self) -> State | None:
        return self.engine.ended

    def states(self) -> dict[str, str]:
        root = self.engine.root
        return {name: State(state).name for name, state in zip(root.plan.ids, root.states, strict=True)}

    def told(self, kind: type) -> list[Any]:
        """The commands of one kind, as tuples of what matters."""
        found: list[Any] = []
        for each in self.commands:
            if isinstance(each, kind):
                if isinstance(each, Settled):
                    found.append((each.path, State(each.state).name))
                elif isinstance(each, (Start, Stop)):
                    found.append(each.path if isinstance(each, Start) else each.start.path)
                elif isinstance(each, (Opened, Over)):
                    found.append((each.frame.name_of(each.turn), getattr(each, "cancelled", None)))
                elif isinstance(each, Ended):
                    found.append(each.state)
        return found
