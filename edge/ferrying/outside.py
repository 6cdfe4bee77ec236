"""Servers that a run, or a node, may not ask: what is asked of a model behind a server, or sent by an agent, has left the device.

Placement refuses what can be known before the run. Names of models that are known only when a node runs meet this: it closes
servers for a run that is local or offline, and for each node that carries a label, whatever agents it calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from edge.means import RunOptions
from graphs.models.openai.servers import servers_shut
from graphs.paths import root_node
from graphs.running.ports import AgentFilter
from graphs.values import Value

__all__ = ["label_guard", "run_guard"]


def run_guard(options: RunOptions) -> AbstractContextManager[None]:
    """What a run is to be carried out in."""
    if options.local_only:
        return servers_shut("UNREACHABLE", "--local-only forbids that")
    if options.offline:
        return servers_shut("UNREACHABLE", "this run is offline")
    return nullcontext()


def label_guard(labels: Mapping[str, Collection[str]]) -> list[AgentFilter]:
    """The filter around agents that closes servers for nodes with these labels, by node; none where no node has any."""
    if not any(labels.values()):
        return []

    async def guarded(context: Any, go_on: Callable[[Any], Any]) -> Value:
        carried = labels.get(root_node(context.path))
        if not carried:
            value = go_on(context)
            return await value if inspect.isawaitable(value) else value
        words = ", ".join(sorted(carried))
        with servers_shut("LABEL_WITHHELD", f"this node carries the label {words}, which is not cleared to leave this device"):
            value = go_on(context)
            return await value if inspect.isawaitable(value) else value

    return [AgentFilter("servers closed to labelled nodes", guarded)]
