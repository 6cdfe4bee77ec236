"""Cycles: nodes that wait for each other and so never start."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

__all__ = ["circles", "stuck"]


def stuck(waits: Mapping[str, Collection[str]]) -> list[str]:
    """The nodes that can never start, in the mapping's order: those in a circle and those that follow it.

    `waits` gives for each node the others it waits for; names that are no keys of it have their value from the start.
    """
    started: set[str] = set()
    late: dict[str, list[str]] = {}
    for node, names in waits.items():  # most graphs are written in an order in which they could run
        if not started.issuperset(names) and (missing := [name for name in names if name in waits and name not in started]):
            late[node] = missing
        else:
            started.add(node)
    followers: dict[str, list[str]] = {}
    for node, missing in late.items():
        for name in missing:
            followers.setdefault(name, []).append(node)
    count = {node: len(missing) for node, missing in late.items()}
    ready = deque(name for name in followers if name in started)
    while ready:
        for follower in followers.get(ready.popleft(), ()):
            count[follower] -= 1
            if not count[follower]:
                del count[follower]
                ready.append(follower)
    return list(count)


def circles(waits: Mapping[str, Collection[str]], nodes: list[str]) -> list[list[str]]:
    """Circles among the stuck `nodes`, no two sharing a node: each node waits for the next one, the last for the first.

    At least one is found if there are any nodes; breaking it may show others.
    """
    among = set(nodes)
    found: list[list[str]] = []
    seen: set[str] = set()
    for start in nodes:
        trail: dict[str, int] = {}
        node = start
        while node not in seen:
            seen.add(node)
            trail[node] = len(trail)
            node = min(name for name in waits[node] if name in among)
        if node in trail:
            found.append(list(trail)[trail[node] :])
    return found
