"""Who watches a run besides its report: what has models loaded ahead of their use, and what prints the lines of `console`."""

from __future__ import annotations

from collections.abc import Container, Mapping

from edge.means import Device
from edge.placing.facts import Placement
from graphs.language.spec import Graph
from graphs.models.prefetch import Prefetcher, coming_models
from graphs.paths import escape
from graphs.running.console import Console, prints
from graphs.running.ports import Observer

__all__ = ["bystanders"]


def bystanders(graph: Graph, device: Device, placed: Mapping[str, Placement], known: Container[str]) -> list[Observer]:
    """Those that the run has use for. The models for its first nodes are said to be coming at once; `known` are the paths of nodes that do not
    run again.
    """
    return [*_prefetcher(graph, device, placed, known), *_console(graph, device)]


def _prefetcher(graph: Graph, device: Device, placed: Mapping[str, Placement], known: Container[str]) -> list[Observer]:
    asked = {name: place.model for name in graph.nodes if (place := placed.get(escape(name))) and place.place == "edge"}
    here = {name: model for name, model in asked.items() if model is not None and escape(name) not in known}
    if not here:
        return []
    prefetcher = Prefetcher(device.models, coming_models(graph, here))
    prefetcher.begin()
    return [prefetcher]


def _console(graph: Graph, device: Device) -> list[Observer]:
    return [Console(device.write)] if device.write is not None and prints(graph.nodes) else []
