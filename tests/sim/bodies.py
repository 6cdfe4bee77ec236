"""Bodies in files, as the simulation watches them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from graphs.journal.bodies import BodyFiles

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["watched"]

_DIGESTED: Final = 1.0
"""Seconds after which what came is worked off."""


def watched(world: World, whole: Callable[..., Any]) -> Callable[..., Any]:
    """What changes a body in its file, with the time at which it did so from this world's clocks. Nothing that is here may be fetched again."""
    adds = whole.__name__ == "write"

    def write(files: BodyFiles, scope: str, name: bytes, *more: Any) -> Any:
        if adds and world.machine is not None:
            part = files.folder / scope / f"{name.hex()}.part"
            held = part.stat().st_size if part.exists() else 0
            world.tell("chunk", world.machine.name, name.hex()[:8], more[0], held)
            late = world.now - world.arrived_late < _DIGESTED
            # what an earlier process of the device says late was asked for before any of it was here
            others = (
                sum(each.alive and each.machine is world.machine for each in world.processes) > 1
            )  # each may have asked when none was here
            last = len(name) == 16 and more[0] == held - 1  # the checksum, by which alone one can look, comes with the last byte
            if more[0] < held and not (late or others or last):
                world.complaints.append(f"{world.machine.name} has {held} bytes of a body and fetched it from {more[0]} on")
        done = whole(files, scope, name, *more)
        if adds and world.machine is not None:
            world.hit("chunk", world.machine.name)
        for path in (files.folder / scope).glob(f"{name.hex()}*"):
            os.utime(path, (world.wall(), world.wall()))
        if whole.__name__ == "keep" and world.machine is not None:
            world.made.add((world.machine.name, name))
        if world.machine is not None:
            world.hit("body", world.machine.name)
        return done

    return write
