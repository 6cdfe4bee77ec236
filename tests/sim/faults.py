"""What may go wrong in a schedule: a list of faults, each with the moment at which it strikes, so that any of them can be left out.

A moment is the `count`-th time that something happens at a machine (a commit begins, or is on the disk but nobody knows; bytes arrive; an agent
begins or ends; a connection is opened; a body is whole), or a time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.net import SimTransport
    from sim.world import Machine, Process, World

__all__ = ["CLOUD", "Fault", "Faults", "draw_faults"]

CLOUD: Final = "cloud"

_EVENTS: Final = ("commit", "committed", "committed", "packet", "packet", "packet", "execute", "executed", "time", "connect")
_OF_DEVICES: Final = (
    "kill", "kill", "kill", "power", "power", "cut", "cut", "cut", "swallow", "block", "block", "slow", "sleep", "full",
    "interrupt", "cancel", "skew", "lose", "stray",
)  # fmt: skip
_OF_WORKERS: Final = ("kill", "kill", "kill", "kill", "power", "power", "sleep", "full", "stop", "skew", "pause", "lose")
_DEADLY: Final = frozenset({"kill", "power", "full", "interrupt", "stop", "cancel", "lose", "revoke", "unlock"})


@dataclass(frozen=True)
class Fault:
    """`where` is a machine. At time moments `count` is in ms. `seconds` is how long it lasts, `dice` decides the rest of it."""

    kind: str
    where: str
    event: str
    count: int
    seconds: float
    dice: int

    @property
    def deadly(self) -> bool:
        """Whether a process ends by it, or loses its journal."""
        return self.kind in _DEADLY

    def __str__(self) -> str:
        moment = f"after {self.count / 1000:g} s" if self.event == "time" else f"at {self.event} {self.count}"
        return f"{self.kind} {self.where} {moment} ({self.seconds:g} s, dice {self.dice})"


def draw_faults(chance: random.Random, devices: Sequence[str]) -> list[Fault]:
    """Some faults; now and then none."""
    found = []
    for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 7))):
        where = chance.choice((*devices, CLOUD))
        event = chance.choice(_EVENTS)
        if event == "connect":
            where = chance.choice(devices)
        kind = chance.choice(_OF_WORKERS if where == CLOUD else _OF_DEVICES)
        if kind == "lose":
            event = "body"
        most = {"body": 8, "commit": 25, "committed": 25, "packet": 40, "execute": 8, "executed": 8, "connect": 3, "time": 8_000}[
            event
        ]
        count = 1 + int(most * chance.random() * chance.random())
        seconds = chance.choice((0.05, 0.05, 1.0, 1.0, 5.0, 5.0, 30.0, 45.0, 100.0, 4_000.0, 20_000.0))
        found.append(Fault(kind, where, event, count, seconds, chance.randrange(1 << 16)))
    if chance.random() < 0.08:  # somebody travels
        where = chance.choice(devices)
        moments = [("packet", count) for count in range(2, 34, 4)] + [("executed", count) for count in (1, 2, 3)]
        found += [Fault("stray", where, event, count, 0.0, chance.randrange(1 << 16)) for event, count in moments]
    return found


class Faults:
    """Strikes when a moment has come; after `heal` nothing goes wrong any more, and what did is mended."""

    def __init__(self, world: World, faults: Sequence[Fault], machines: dict[str, Machine]) -> None:
        self.world = world
        self.machines = machines
        self.struck: list[Fault] = []
        self.cancels: set[str] = set()
        """Devices whose user does not want his run any more."""
        self.revoke: Callable[[str], None] = lambda _name: None
        """Ends a device's access to the worker."""
        self.unlock: Callable[[], None] = lambda: None
        """Lets another process have the worker's store."""
        self._healed = False
        self._counts: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[tuple[str, str, int], list[Fault]] = {}
        for fault in faults:
            if fault.event == "time":
                world.operator.call_later(fault.count / 1000, self.strike, fault)
            else:
                self._waiting.setdefault((fault.event, fault.where, fault.count), []).append(fault)
        world.hit = self._hit

    def running(self, name: str) -> list[Process]:
        """The processes of a machine that live."""
        return [each for each in self.world.processes if each.machine.name == name and each.alive]

    def _hit(self, event: str, where: str) -> None:
        self._counts[event, where] += 1
        for fault in self._waiting.pop((event, where, self._counts[event, where]), ()):
            self.strike(fault)

    def strike(self, fault: Fault) -> None:
        """Let it happen now."""
        if self._healed:
            return
        self.struck.append(fault)
        self.world.tell("fault", fault.kind, fault.where)
        getattr(self, f"_{fault.kind}")(fault, self.machines[fault.where], random.Random(fault.dice))

    def _after(self, fault: Fault, mend: object, *args: object) -> None:
        self.world.operator.call_later(fault.seconds, mend, *args)  # type: ignore[arg-type]

    # -- processes and machines

    def _kill(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        for process in self.running(fault.where)[:1]:
            process.kill()

    def _power(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        if not machine.up:
            return
        silent = dice.random() < 0.5
        for process in self.running(fault.where):
            process.kill(silent=silent)
        machine.disk.lose_power(dice.choice((0.0, 0.0, dice.random(), 1.0)))
        machine.up = False
        self._after(fault, machine.power_on)

    def _interrupt(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        for process in self.running(fault.where):
            process.interrupt()

    def _cancel(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        self.cancels.add(fault.where)
        self._interrupt(fault, machine, dice)

    def _stop(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        for process in self.running(fault.where)[:1]:
            process.stop()

    def _sleep(self, fault: Fault, machine: Machine, dice: random.Random, *, missed: bool = True) -> None:
        """The lid is closed; its clock stands still, as Linux has it."""
        for process in self.running(fault.where):
            if not process.loop.frozen:
                self.world.freeze(process.loop)
                self._after(fault, self._wake, process, fault.seconds if missed else 0.0)

    def _pause(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        """As `kill -STOP`: the clock goes on."""
        self._sleep(replace(fault, seconds=min(fault.seconds, 100.0)), machine, dice, missed=False)  # a run has an hour

    def _wake(self, process: Process, missed: float) -> None:
        self.world.thaw(process.loop, missed)

    def _skew(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        machine.skew += dice.choice((-3_600.0, -1.0, 1.0, 86_400.0))

    def _full(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        machine.disk.full = True
        self._after(fault, self._free, machine)

    def _lose(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        """A body is gone from its folder: somebody tidied up, or the disk is bad."""
        self._after(fault, self._delete, machine, dice)

    def _delete(self, machine: Machine, dice: random.Random) -> None:
        found = sorted(machine.disk.folder.glob("*-bodies/*/*"), key=lambda path: path.stat().st_mtime)
        if found and not self._healed:
            found[int(len(found) * dice.random() ** 0.5)].unlink()  # rather one of those that are new
            self.world.tell("lost", machine.name)

    def _free(self, machine: Machine) -> None:
        machine.disk.full = False
        for process in self.running(machine.name):
            if machine.name.startswith(CLOUD) and machine.disk.failed(process.loop):  # its operator has read the log
                process.kill()

    def _revoke(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        """Whoever runs the worker does not want that device any more; what it had running there is cancelled."""
        self.revoke(machine.name)

    def _unlock(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        """The lock on the worker's store is lost: its file was deleted, or its file system forgot it."""
        self.unlock()

    # -- the network

    def _connections(self, fault: Fault) -> list[SimTransport]:
        return [each for each in self.world.network.transports(fault.where) if each.machine == fault.where]

    def _cut(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        for transport in self._connections(fault):
            for end in (transport, transport.peer):
                if dice.random() < 0.8:
                    self.world.operator.call_later(0.05 * dice.random(), end.reset)
            transport.swallows = transport.peer.swallows = True

    def _swallow(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        """One direction of what is open is gone, and nobody is told."""
        for transport in self._connections(fault):
            dice.choice((transport, transport.peer)).swallows = True

    def _stray(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        """The machine moves to another network: what it said last on the old one arrives when it has begun to speak on the new one."""
        for transport in self._connections(fault):
            transport.astray = True
            moves = dice.choice((0.05, 0.3, 2.0)) * dice.random()
            self.world.operator.call_later(moves, self._move, transport)
            self.world.operator.call_later(moves + dice.choice((0.3, 0.6, 2.0)) * dice.random(), transport.arrive_late)

    def _move(self, transport: SimTransport) -> None:
        transport.peer.swallows = True
        transport.reset()

    def _block(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        self.world.network.line(fault.where).blocked = True
        self._after(fault, self.world.network.line(fault.where).unblock)

    def _slow(self, fault: Fault, machine: Machine, dice: random.Random) -> None:
        self.world.network.line(fault.where).slow = dice.choice((5.0, 40.0))
        self._after(fault, self._fast, fault.where)

    def _fast(self, name: str) -> None:
        self.world.network.line(name).slow = 1.0

    def heal(self) -> None:
        """Everything works from now on."""
        if self._healed:
            return
        self._healed = True
        self.world.tell("healed")
        for line in self.world.network.lines.values():
            line.unblock()
            line.slow = 1.0
        for machine in self.machines.values():
            machine.power_on()
            self._free(machine)
        for process in self.world.processes:
            if process.alive and process.loop.frozen:
                self.world.thaw(process.loop, 0.0)
