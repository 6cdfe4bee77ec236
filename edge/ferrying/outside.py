"""Servers that a run, or a node, may not ask: what is asked of a model behind a server, or sent by an agent, has left the device.

Placement refuses what can be known before the run. Names of models that are known only when a node runs meet this: it closes
servers for a run that is local or offline, and for each node that carries a label, whatever agents it calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from edge.auditing.witness import RunWitness
from edge.means import RunOptions
from edge.network.no_sockets import no_sockets
from edge.privacy.clearance import Clearance
from graphs.departures import witnessed
from graphs.engine.events import Settled, Start
from graphs.language.labels import UNSEEN, confining
from graphs.language.run_labels import RunLabels
from graphs.models.openai.servers import servers_shut
from graphs.running.ports import AgentFilter
from graphs.states import State
from graphs.values import Value

if TYPE_CHECKING:
    from graphs.journal import Journal

__all__ = ["label_guard", "learn", "run_guard"]


@contextmanager
def run_guard(options: RunOptions, journal: Journal, run: bytes, labels: RunLabels) -> Iterator[None]:
    """What a run is to be carried out in: what leaves in requests is written down, and servers are shut if they must be."""
    with ExitStack() as stack:
        stack.enter_context(witnessed(RunWitness(journal, run, labels.touched)))
        if options.local_only:
            stack.enter_context(no_sockets())
            stack.enter_context(servers_shut("UNREACHABLE", "--local-only forbids that", near=True))
        elif options.offline:
            stack.enter_context(servers_shut("UNREACHABLE", "this run is offline"))
        yield


def label_guard(labels: RunLabels, clearance: Clearance, servers: Collection[str] = ()) -> list[AgentFilter]:
    """The filter around agents that closes servers for nodes with labels, but for those of `servers` that the labels may go to; none where no node
    has any.
    """
    if not labels:
        return []

    async def guarded(context: Any, go_on: Callable[[Any], Any]) -> Value:
        carried = confining(labels.touched(context.path)) - {UNSEEN}  # whatever is here now was made of what has been seen
        if not carried:
            value = go_on(context)
            return await value if inspect.isawaitable(value) else value
        words = ", ".join(sorted(carried))
        why = f"this node carries the label {words}, which is not cleared to leave this device"
        with servers_shut("LABEL_WITHHELD", why, but=[name for name in servers if clearance.may(carried, name)]):
            value = go_on(context)
            return await value if inspect.isawaitable(value) else value

    return [AgentFilter("servers closed to labelled nodes", guarded)]


def learn(opened: Callable[[str, Value], None], of: Settled | Start) -> None:
    """A node that opens a graph begins, or has settled by a record of an earlier process: if that graph is a value, it is here to be looked at."""
    if of.node.graph_source is not None and (isinstance(of, Start) or of.state == State.COMPLETED):
        opened(of.path, of.node.graph_source(of.frame.results))
