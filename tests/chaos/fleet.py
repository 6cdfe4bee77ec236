"""Schedules of chaos with two devices and a worker, between which a run moves: what their users do, what the networks between them do, and who is
killed, are drawn from a seed.

Both devices do one command after the other, some of them beside the one before, and both at the same time. Then the networks are whole, nobody is
killed any more, and two users bring the run and its forks to their ends. What is checked then: `chaos.agreement`.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from chaos.agents import AGENTS, MOVING
from chaos.agreement import Seen, check_agreement, deeds, disagreement, seen
from chaos.proxy import Fault, Proxy
from chaos.said import report_of, wrong
from chaos.sides import Device, Hooks, Worker
from chaos.zygote import Zygote

__all__ = ["KINDS", "MEANWHILE", "STEPS", "Fleet", "Moved", "Schedule", "Step", "play_fleet", "schedule_of"]

DEVICES: Final = ("home", "away")
WORKER: Final = "worker"
STEPS: Final = (
    *("sync", "go on", "push", "pull", "answer") * 3,
    *("answer and go on", "copy", "push by force", "force", "go on with a fork", "go on with a fork", "sync"),
)
"""What a user does; `cancel` comes in few schedules, as it ends them."""
KINDS: Final = (
    *("cut", "cut", "close", "half", "delay", "throttle", "part", "part", "part all"),
    *(WORKER, WORKER, *DEVICES, *DEVICES, f"{WORKER}-torn", *(f"{name}-torn" for name in DEVICES)),
)
MEANWHILE: Final = ("sync", "pull", "push", "force", "answer and go on", "copy")
"""What one user does while a connection of the other's stands still, at a byte that was drawn: `away pull` is a kind of fault, too."""
DOOMED: Final = ("paid", "sent", "told")
ROUNDS: Final = 20
"""Rounds in which a run has to come to its end once nothing goes wrong any more."""
_PATIENCE: Final = 120.0
"""Seconds within which all stores have to have the same then."""
_ABORTED: Final = "'NoneType' object has no attribute 'call_soon'"
"""See `chaos.schedule`."""


class Step(NamedTuple):
    """What a user does; `beside` the command before it, which is not waited for."""

    what: str
    beside: bool = False

    def __str__(self) -> str:
        return f"& {self.what}" if self.beside else self.what


@dataclass(frozen=True)
class Schedule:
    """What a seed draws: the steps of each device, the faults between each and the worker, the nodes with effects that kill their process, and
    whether the other device begins `at_once`, or when the run has been synced once.
    """

    steps: Mapping[str, tuple[Step, ...]]
    faults: Mapping[str, tuple[Fault, ...]]
    doomed: tuple[str, ...] = ()
    at_once: bool = True

    def __str__(self) -> str:
        steps = (f"{name}: {', '.join(map(str, self.steps[name]))}" for name in DEVICES)
        faults = (f"{name}: {fault}" for name in DEVICES for fault in self.faults[name])
        return "\n".join(("at once" * self.at_once, *steps, *faults, *(f"death in {node}" for node in self.doomed)))


QUIET: Final = Schedule({"home": (Step("begin"),), "away": ()}, dict.fromkeys(DEVICES, ()))


def schedule_of(seed: int) -> Schedule:
    """The schedule of a seed."""
    chance = random.Random(f"fleet {seed}")
    beside = (
        0.2 if seed % 8 else 0.6
    )  # half of those that are played have several commands of a device at once nearly all the time
    steps = {}
    for name in DEVICES:
        drawn = [Step(chance.choice(STEPS), chance.random() < beside) for _ in range(chance.randint(3, 6))]
        first = [Step(chance.choice(("begin", "begin offline")))] if name == "home" else []
        pushed = [Step("push", beside=True)] if first and chance.random() < 0.2 else []  # while it goes on
        steps[name] = (*first, *pushed, Step("sync"), *drawn)
    if chance.random() < 0.1:
        name = chance.choice(DEVICES)
        steps[name] = (*steps[name], Step("cancel"))
    faults = {name: tuple(_fault(chance) for _ in range(chance.choice((0, 1, 2, 3)))) for name in DEVICES}
    doomed, at_once = tuple(node for node in DOOMED if chance.random() < 0.1), chance.random() < 0.2
    if chance.random() < 0.3:
        name, other = chance.choice((DEVICES, DEVICES[::-1]))
        faults[name] = (*faults[name], replace(_fault(chance), kind=f"{other} {chance.choice(MEANWHILE)}"))
    return Schedule(steps, faults, doomed, at_once)


def _fault(chance: random.Random) -> Fault:
    return Fault(
        connection=chance.choice((0, 0, 1, 1, 2, 3, 4)),
        direction=chance.choice(("up", "down")),
        offset=int(chance.choice((200, 800, 2_000, 4_000, 8_000, 300_000)) * chance.random()) + 1,
        kind=chance.choice(KINDS),
        count=chance.randint(1, 5),
    )


@dataclass(frozen=True)
class Moved:
    """What a schedule came to: by run its status, the run itself first; how often a user did what; the faults that struck; the results of the run by
    path; which nodes a person was asked about.
    """

    statuses: Mapping[str, str]
    did: tuple[str, ...]
    happened: tuple[Fault, ...]
    results: Mapping[str, Any]
    doomed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


def play_fleet(
    schedule: Schedule, seed: int, folder: Path, zygote: Zygote, expected: Mapping[str, Any] | None = None, planted: str = ""
) -> Moved:
    """Play a schedule in an empty folder. `expected` are the undisturbed run's results, None for that run itself; `planted` is a bug of
    `chaos.planted`. Raises AssertionError where something does not hold; what was done stands in the folder's file `did`.
    """
    fleet = Fleet(schedule, seed, folder, zygote, planted)
    try:
        with ThreadPoolExecutor(len(DEVICES)) as users:
            for each in [users.submit(fleet.use, name) for name in DEVICES]:
                each.result()
        for proxy in fleet.proxies.values():
            proxy.heal()
        fleet.finish()
    finally:
        status = fleet.close()
    for error in fleet.wrong:
        raise error
    results = next((each.results for each in seen(fleet.stores["home"])), {})
    check_agreement(fleet.stores, WORKER, results if expected is None else expected, fleet.log)
    errors = (folder / "worker.err").read_text()
    assert "Traceback" not in errors or _ABORTED in errors, f"the worker said:\n{errors[-4_000:]}"
    assert status == 0, f"the worker ended with {status}:\n{errors[-2_000:]}"
    return fleet.outcome(results)


class Fleet:
    """The processes of one schedule."""

    def __init__(self, schedule: Schedule, seed: int, folder: Path, zygote: Zygote, planted: str = "") -> None:
        self._schedule, self._folder = schedule, folder
        self.log = folder / "executions"
        homes = {name: folder / name for name in (*DEVICES, WORKER)}
        for name in DEVICES:
            (homes[name] / "edge").mkdir(parents=True)
            (homes[name] / "edge" / "config.yaml").write_text("cloud: {grace: 0.5}\n", encoding="utf-8")
        homes[WORKER].mkdir()
        (folder / "chaos_agents.py").write_text(AGENTS, encoding="utf-8")
        (folder / "g.yaml").write_text(MOVING.format(log=self.log), encoding="utf-8")
        for node in schedule.doomed:
            (folder / f"doom-{node}").touch()
        self.stores = {name: homes[name] / ("cloud" if name == WORKER else "edge") / "journal.db" for name in homes}
        variables = {"CHAOS_PLANTED": planted, "CHAOS_PATIENCE": "0.5", "GRAPHFERRY_CONDITIONS": "unmetered mains"}
        self.worker = Worker(zygote, folder, homes[WORKER], **variables)
        self.devices = {name: Device(zygote, folder, homes[name], name, self.worker, **variables) for name in DEVICES}
        sides: dict[str, tuple[Worker | Device, Path]] = {WORKER: (self.worker, self.stores[WORKER])}
        sides |= {name: (self.devices[name], self.stores[name]) for name in DEVICES}
        self.proxies: dict[str, Proxy] = {}
        hooks = {kind: Hooks(seed, sides)[kind] for kind in KINDS if kind.partition("-")[0] in sides}
        hooks["part all"] = self._part_all
        for each in (*schedule.faults[DEVICES[0]], *schedule.faults[DEVICES[1]]):
            if each.kind.startswith(tuple(f"{name} " for name in DEVICES)):
                hooks[each.kind] = partial(self._meanwhile, *each.kind.split(" ", 1))
        for name in DEVICES:
            self.proxies[name] = Proxy(self.worker.port, schedule.faults[name], hooks)
        self._known = threading.Event()
        """The run has been synced once, or was to be."""
        self._whole = False
        self.wrong: list[AssertionError] = []
        """What was wrong with what a user did meanwhile."""
        self._did: list[str] = []
        self._asked: set[str] = set()
        self._lock = threading.Lock()

    def _part_all(self) -> None:
        for proxy in self.proxies.values():
            proxy.part(2)

    def _meanwhile(self, name: str, what: str) -> None:
        """What a user does while the connection that calls this stands still."""
        if self._whole:
            return
        try:
            self._step(name, what)
        except AssertionError as error:
            self.wrong.append(error)

    def close(self) -> int:
        """End all processes; how the worker ended."""
        for name in DEVICES:
            self.devices[name].kill()
            self.proxies[name].close()
        return self.worker.stop()

    def outcome(self, results: Mapping[str, Any]) -> Moved:
        """What it came to."""
        return Moved(
            {each.run: each.status for each in seen(self.stores["home"])},
            tuple(self._did),
            tuple(fault for proxy in self.proxies.values() for fault in proxy.happened),
            results,
            tuple(node for node in self._schedule.doomed if not (self._folder / f"doom-{node}").exists()),
            tuple(sorted(self._asked)),
        )

    # -- while things go wrong

    def use(self, name: str) -> None:
        """What the user of a device does."""
        if name != DEVICES[0] and not self._schedule.at_once:
            self._known.wait()
        try:
            with ThreadPoolExecutor(8) as beside:
                begun: list[Future[None]] = []
                for step in self._schedule.steps[name]:
                    if begun and not step.beside:
                        begun[-1].result()
                    begun.append(beside.submit(self._step, name, step.what))
                    if step.what == "sync":
                        begun[-1].add_done_callback(lambda _: self._known.set())
                for each in begun:
                    each.result()
        finally:
            self._known.set()

    def _step(self, name: str, what: str) -> None:
        self.worker.up()
        words = self._words(what, seen(self.stores[name]))
        if words is not None:
            self._do(name, what, words)

    def _words(self, what: str, runs: Sequence[Seen]) -> list[str] | None:
        """The command; None if there is nothing to do it with. One of a run that is not here is one to sync with."""
        if what.startswith("begin"):
            offline = ["--offline"] if "offline" in what else []
            return ["run", "g.yaml", "--sync", "--json", "--agents", "chaos_agents.py", *offline]
        if what == "sync" or not runs:
            return ["sync", "--json"]
        if what == "go on with a fork":
            mine = [each for each in runs if each.fork and each.mine and not each.over]
            return ["resume", mine[0].run, "--json"] if mine else None
        run = runs[0].run
        commands: Mapping[str, Sequence[str]] = {
            "go on": ("resume", run, "--json"),
            "push": ("runs", "push", run, "--continue"),
            "push by force": ("runs", "push", run, "--continue", "--force"),
            "copy": ("runs", "push", run),
            "pull": ("runs", "pull", run),
            "force": ("runs", "pull", run, "--force"),
            "answer": ("answer", run, "ok", "yes"),
            "answer and go on": ("answer", run, "ok", "yes", "--resume", "--json"),
            "cancel": ("runs", "cancel", run),
        }
        return list(commands[what])

    def _do(self, name: str, what: str, words: Sequence[str]) -> tuple[int, Mapping[str, Any]]:
        """Status and report of a command, which may do what it could not, but not fail."""
        device, proxy = self.devices[name], self.proxies[name]
        status, stdout, stderr = device.run(words, GRAPHFERRY_CLOUD=proxy.url)
        with self._lock:
            self._did.append(what)
            with (self._folder / "did").open("a") as file:
                file.write(f"{name}: {what}: {status}: {' '.join(words)}\n{stdout[-600:]}{stderr[-1_200:]}\n")
        if self.worker.broken is not None:
            raise AssertionError(self.worker.broken)
        mistake = wrong(words, status, stdout, stderr)
        assert mistake is None, f"{name}: {what}, with {status}: {mistake}:\n{stdout[-2_000:]}\n{stderr[-4_000:]}"
        return status, report_of(words, status, stdout)

    # -- once the network is whole

    def finish(self) -> None:
        """Bring the run and its forks to their ends, and have all stores have the same."""
        self._whole = True
        for number in range(ROUNDS):
            for name in DEVICES:
                self._step(name, "sync")
            runs = seen(self.stores["home"])
            if runs and all(each.over and each.known for name in DEVICES for each in seen(self.stores[name])):
                break
            if not runs:
                self._step("home", "begin")
            self._bring_on(DEVICES[number % 2])
        else:
            left = {name: _brief(path) for name, path in self.stores.items()}
            raise AssertionError(f"not over after {ROUNDS} rounds: {left}")
        end = time.monotonic() + _PATIENCE
        while disagreement(self.stores) is not None and time.monotonic() < end:
            for name in DEVICES:
                self._step(name, "sync")

    def _bring_on(self, name: str) -> None:
        """What a user does who wants everything done: the run first, then what was forked from it."""
        for each in seen(self.stores[name]):
            if each.over or not each.known:
                continue
            if not each.mine:
                self._do(name, "pull", ["runs", "pull", each.run])
            elif each.asks:
                self._do(name, "answer", ["answer", each.run, each.asks[0], "yes"])
                self._go_on(name, each)
            else:
                self._go_on(name, each)
            if not each.fork:
                return  # what happens in the run itself is not to happen in a fork, too

    def _go_on(self, name: str, each: Seen) -> None:
        """Resume; about what nobody else can know, somebody looks and says."""
        words: list[str] = []
        for _ in range(4):
            status, report = self._do(name, "go on", ["resume", each.run, "--json", *words])
            errors = report.get("errors") or {}
            doubtful = [path for path, error in errors.items() if error.get("code") == "NODE_INDETERMINATE"]
            if status != 3 or not doubtful:
                return
            if not each.fork:
                self._asked |= {*doubtful}
            done = deeds(self.log)
            words = []
            for path in doubtful:
                words += ["--assume", f"{path}=done:{json.dumps(done[path])}" if path in done else f"{path}=rerun"]


def _brief(path: Path) -> list[str]:
    return [f"{each.run[-6:]} {each.status}{' (fork)' * each.fork}{' here' * each.mine}" for each in seen(path)]
