"""The labels of a run on this device: what only shows while it runs is noted in the journal, so that a later process, or a sync, knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs.language.run_labels import RunLabels
from protocol.shared import note_labels

if TYPE_CHECKING:
    from edge.means import Device
    from graphs.language.spec import Graph

__all__ = ["run_labels"]


def run_labels(device: Device, graph: Graph, run: bytes) -> RunLabels:
    """Those of the run with this id; they are noted when it is told to (`RunLabels.tell`), and whenever there are more."""
    return RunLabels(graph, device.agents, news=lambda found: note_labels(device.journal, run, found))
