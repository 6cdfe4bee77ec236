"""Clearance: which sensitivity labels may go where, as `sensitivity` in the device's configuration says it. Pure.

A place is this device (`edge`), a worker, or a server that the device asks for a model. What nobody has said something of stays on the device: an
unknown label, an unknown place, a graph that nobody has looked at. The device decides; what a worker says it may be sent can only narrow that.

    sensitivity:
      private: edge                    # as if nothing were said
      internal: [edge, our-worker]     # a name under `workers` or of `pair --as`, a link URL, or `cloud`: the worker of this configuration
      draft: [edge, big-model]         # a server, by its name under `models`
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from graphs.language.labels import UNCLEARABLE, confining

__all__ = ["EDGE", "NOWHERE", "WORKER", "Clearance"]

EDGE: Final = "edge"
"""This device, where everything may be."""
WORKER: Final = "cloud"
"""The worker of the run, whichever that is."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """What the device's owner has said. `places` are those that each label may go to besides the device: link URLs of workers in their one form,
    and names of models behind servers. `worker` is the link URL of the worker that the run uses, `takes` what that says it may be sent, None if it
    has said nothing; `here` are servers that are part of this device.
    """

    places: Mapping[str, frozenset[str]] = field(default_factory=dict)
    worker: str | None = None
    takes: frozenset[str] | None = None
    here: frozenset[str] = frozenset()
    names: Mapping[str, str] | None = None
    """What the configuration calls workers, by their link URLs; None if nobody looked."""

    @property
    def word(self) -> str:
        """How the configuration names the worker that the run uses: what to write there to let a label go to it."""
        if self.worker is None or self.names is None:
            return WORKER
        return self.names.get(self.worker) or f'"{self.worker}"'

    def may(self, labels: Iterable[str], place: str) -> bool:
        """Whether a value with all of these labels may be at the place: `edge`, `cloud`, a link URL, the name of a model behind a server."""
        return not self.held_back(labels, place)

    def held_back(self, labels: Iterable[str], place: str) -> list[str]:
        """Those of the labels that may not go to the place, sorted."""
        if place == EDGE or place in self.here:
            return []
        at = self.worker if place == WORKER else place
        return sorted(each for each in confining(labels) if not self._goes(each, at))

    def _goes(self, label: str, place: str | None) -> bool:
        if place is None or label in UNCLEARABLE or place not in self.places.get(label, ()):
            return False
        return place != self.worker or self.takes is None or label in self.takes

    def explain(self, labels: Iterable[str], place: str) -> str:
        """Why the labels may not go to the place, in half a sentence; "" if they may."""
        back = self.held_back(labels, place)
        if not back:
            return ""
        at = self.worker if place == WORKER else place
        said = [each for each in back if at is not None and at in self.places.get(each, ()) and each not in UNCLEARABLE]
        if said and len(said) == len(back):
            return f"this device lets {_words(back)} go there, but the worker is not cleared for that"
        return f"{_words(back)} {'is' if len(back) == 1 else 'are'} not cleared to leave this device for {_told(place, at)}"

    def clear(self, labels: Collection[str], peer: str) -> bool:
        """The gate of the link (protocol.config.Clear): `peer` is the link URL."""
        return self.may(labels, peer)

    def towards(self, worker: str | None, takes: Iterable[str] | None = None) -> Clearance:
        """The same for a run that uses this worker, which says that it may be sent what carries these labels."""
        return replace(self, worker=worker, takes=None if takes is None else frozenset(takes))


def _told(place: str, at: str | None) -> str:
    if place == WORKER or at is None:
        return "the worker" if at is None else f"the worker at {at}"
    return repr(at)


def _words(labels: Collection[str]) -> str:
    return ", ".join(labels)


NOWHERE: Final = Clearance()
"""Nothing that is labelled leaves the device."""
