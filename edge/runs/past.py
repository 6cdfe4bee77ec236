"""What a fork is made of: a run as this device's journal has it, with what another store may have done in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.ferrying.earlier import Earlier, Place
from edge.people.answers import is_held_here
from edge.runs.pauses import DIVERGED
from edge.runs.recall import with_offered
from edge.runs.suspects import acting, begun_at_workers
from graphs.engine.engine import Engine
from graphs.engine.events import Outcome
from graphs.engine.outcomes import Known
from graphs.engine.recall import keyed
from graphs.errors import JournalError
from graphs.journal.ids import run_id_text
from graphs.language.spec import Graph
from graphs.records import Result, State, Submit
from graphs.registry import Registry
from graphs.running.attempt import Attempt
from graphs.running.runtime import Runtime
from graphs.values import Value
from protocol.refill import resolved_here

if TYPE_CHECKING:
    from edge.ferrying.worker import WorkerLink
    from edge.means import Device, RunOptions

__all__ = ["Past", "copied", "engine_of", "read_past"]


@dataclass(slots=True)
class Past:
    """A run as its journals have it. `away` are outcomes whose values are still where they were made, `places` say where the result of each path
    stands, `submit` is its order. `suspects` are the places in the document of nodes with effects that another store may have begun without a
    result here; `agents` are those of this device, and those that only the worker has.
    """

    known: Known
    away: dict[str, Outcome]
    places: dict[str, Place]
    submit: Submit
    suspects: set[str]
    agents: Registry

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """All of them."""
        return {**self.known.outcomes, **self.away}

    @property
    def inject(self) -> dict[str, Value]:
        """The values of static nodes that it began with."""
        return {name: value for name, (state, value) in self.submit.inputs.items() if state == State.INJECTED}

    def done(self, effects: Mapping[str, str]) -> set[str]:
        """The paths of nodes that have had effects; `effects` are those of a node by its path, as a trace says them."""
        return {path for path in self.known.outcomes if path in self.known.once or effects.get(path, "none") != "none"}

    def later(self, handed: Mapping[str, bytes | None], held: Collection[str], may: Callable[[str], bool]) -> list[Result]:
        """The results that a fork keeps for who is handed the same (edge.runs.recall): of paths that are not held, that were handed this, and that
        `may` be taken.
        """
        return [
            keyed(copied(self.known.made[path], self.places[path]), what)
            for path, what in handed.items()
            if what is not None and path not in held and path in self.known.made and may(path)
        ]


async def read_past(
    device: Device, source: bytes, graph: Graph, url: str | None, link: WorkerLink | None = None, *, held_elsewhere: bool = False
) -> Past:
    """What the journal knows of a run whose worker is at `url`; values of nodes with effects that are there come over the `link`, where there is one.
    Other values that are elsewhere stay there, and their references count for them: whoever goes on with the fork has them fetched if somebody reads
    them, or made again if they are lost. `held_elsewhere`: another store holds it, whatever the
    journal says by now. Raises JournalError if the run's beginning, or a value that it began with, is not here.
    """
    journal = device.journal
    earlier = Earlier(journal, graph, source)
    order = next((each.record for each in earlier.logged if isinstance(each.record, Submit)), None)
    if order is None:
        raise JournalError(f"no log of run {run_id_text(source)} begins with its order")
    known = await earlier.known(link, lambda known, path: path not in known.once)
    agents = with_offered(device, url)
    suspects = begun_at_workers(journal, earlier.children, agents, graph) | known.suspects
    if held_elsewhere or (journal.run(source).exit_info or {}).get(DIVERGED) or not is_held_here(journal, source):
        suspects |= set(acting(graph, agents))
    return Past(known, earlier.away, earlier.places(), resolved_here(journal, order), suspects, agents)


def copied(made: Result, place: Place) -> Result:
    """A result as it stands in a fork: with where it came from first."""
    return made if "from" in made.by else replace(made, by={**made.by, "from": list(place)})


def engine_of(graph: Graph, options: RunOptions, agents: Registry, known: Known, skipped: Mapping[str, Outcome]) -> Engine:
    """An engine of that graph with nobody to run its nodes."""
    compiler = options.permissions.compiler(agents, strict=options.strict)
    plan = compiler.plan(graph)
    shell = Runtime(plan, compiler, config=options.config, max_turns=options.max_turns)
    return Engine(
        plan,
        compiler,
        known=skipped,
        begun=known.begun,
        retried=known.retried,
        report=True,
        max_turns=options.max_turns,
        start=Attempt,
        shell=shell,
    )
