"""Cycles: nodes that wait for each other and so never start."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Set

__all__ = ["circles", "stuck"]


def stuck(waits: Mapping[str, Set[str]]) -> list[str]:
    """The nodes that can never start, in the mapping's order: those in a circle and those that follow it.

    `waits` gives for each node the others it waits for; names that are no keys of it have their value from the start.
    """
    followers: dict[str, list[str]] = {}
    missing: dict[str, int] = {}
    ready: deque[str] = deque()
    for node, names in waits.items():
        count = 0
        for name in names:
            if name in waits:
                count += 1
                followers.setdefault(name, []).append(node)
        if count:
            missing[node] = count
        else:
            ready.append(node)
    while ready:
        for follower in followers.get(ready.popleft(), ()):
            missing[follower] -= 1
            if not missing[follower]:
                del missing[follower]
                ready.append(follower)
    return list(missing)


def circles(waits: Mapping[str, Set[str]], nodes: list[str]) -> list[list[str]]:
    """Circles among the stuck `nodes`, none sharing a node with another; each node waits for the one after it, the last for the first.

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
            node = min(waits[node] & among) if len(waits[node]) > 1 else next(iter(waits[node]))
        if node in trail:
            found.append(list(trail)[trail[node] :])
    return found
