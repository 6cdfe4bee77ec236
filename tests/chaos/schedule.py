"""One schedule of chaos: a run of real processes whose link is disturbed and who are killed, at points that a seed drew."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from chaos.agents import AGENTS, GRAPH
from chaos.proxy import Fault, Proxy
from chaos.sides import Device, Hooks, Worker
from chaos.verify import check_effects, check_journals
from chaos.zygote import Zygote

__all__ = ["Outcome", "doomed_of", "faults_of", "play"]

ROUNDS: Final = 14
"""Commands in a row that may leave a run suspended: more than there are faults."""
_ABORTED: Final = "'NoneType' object has no attribute 'call_soon'"
"""What websockets logs when a connection is aborted that was lost in the same turn of the loop: asyncio's transport has no loop then."""
_DISKS: Final = tuple(f"{side}-{what}" for side in ("worker", "device") for what in ("torn", "lost", "full"))
KINDS: Final = (*("cut", "close", "half", "delay", "throttle", "worker", "device") * 2, "cut", "cut", *_DISKS)


@dataclass(frozen=True)
class Outcome:
    """How a schedule ended. `asked`: nodes with effects that were in flight when their side died, so that a person is asked; `diverged`
    and `damaged` (by what was said): a disk lost what was durable, and that was noticed.
    """

    results: Any
    rounds: int
    happened: tuple[Fault, ...]
    doomed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    diverged: bool = False
    damaged: str | None = None


def faults_of(seed: int) -> list[Fault]:
    """The faults that a seed draws. Seed 0 has none: the undisturbed run."""
    if seed == 0:
        return []
    chance = random.Random(seed)
    count = chance.randint(1, 5)
    return [
        Fault(
            connection=chance.choice((0, 1, 1, 2, 3)) if number else 0,
            direction=chance.choice(("up", "down")),
            offset=int(chance.choice((200, 800, 2_000, 4_000, 8_000, 400_000)) * chance.random()) + 1,
            kind=chance.choice(KINDS),
        )
        for number in range(count)
    ]


def doomed_of(seed: int) -> list[str]:
    """The nodes with effects in the middle of which their process kills itself."""
    chance = random.Random(-seed)
    return [node for node in ("paid", "sent") if seed and chance.random() < 0.15]


def play(seed: int, folder: Path, zygote: Zygote) -> Outcome:
    """Run the schedule of this seed in an empty folder; what it came to. Raises AssertionError where an invariant does not hold."""
    home, log = folder / "home", folder / "executions"
    home.mkdir()
    (folder / "chaos_agents.py").write_text(AGENTS, encoding="utf-8")
    (folder / "g.yaml").write_text(GRAPH.format(log=log), encoding="utf-8")
    doomed = doomed_of(seed)
    for node in doomed:
        (folder / f"doom-{node}").touch()
        (folder / f"was-doomed-{node}").touch()
    worker, device = Worker(zygote, folder, home), Device(zygote, folder, home)
    hooks = Hooks(seed, {"worker": (worker, home / "cloud" / "journal.db"), "device": (device, home / "edge" / "journal.db")})
    proxy = Proxy(worker.port, faults_of(seed), hooks)
    try:
        outcome = _until_over(device, worker, proxy, home, hooks)
    finally:
        device.kill()
        proxy.close()
        status = worker.stop()
    check_effects(log, forgetful=hooks.lost)
    if outcome.damaged is None:
        check_journals(home, forgetful=hooks.lost, diverged=outcome.diverged)
    errors = (folder / "worker.err").read_text()
    assert "Traceback" not in errors or _ABORTED in errors, f"the worker said:\n{errors[-4_000:]}"
    assert status == 0 or (status == 1 and _filled(proxy)), f"the worker ended with {status}:\n{errors[-2_000:]}"
    return outcome


def _filled(proxy: Proxy) -> bool:
    return any(fault.kind.endswith("-full") for fault in proxy.happened)


def _until_over(device: Device, worker: Worker, proxy: Proxy, home: Path, hooks: Hooks) -> Outcome:
    words, stdout, stderr = ["run", "g.yaml"], "", ""
    for number in range(ROUNDS):
        worker.up()
        if worker.broken is not None:
            raise AssertionError(worker.broken)
        status, stdout, stderr = device.run([*words, "--cloud", proxy.url, "--json", "--agents", "chaos_agents.py"])
        assert "Traceback" not in stderr, stderr[-4_000:]
        assert "internal error" not in stderr, stderr[-4_000:]
        report = json.loads(stdout) if stdout.strip() else {}
        errors = {path: error.get("code") for path, error in (report.get("errors") or {}).items()}
        outcome = partial(Outcome, rounds=number + 1, happened=tuple(proxy.happened), doomed=_doomed(home.parent))
        if status == 0:
            return outcome(report["results"])
        asked = [path for path, code in errors.items() if code == "NODE_INDETERMINATE"]
        if asked:
            return outcome(None, asked=tuple(asked))
        if hooks.lost and "RUN_DIVERGED" in errors.values():
            return outcome(None, diverged=True)
        if hooks.lost and status == 1 and "is damaged: " in stderr:
            return outcome(None, damaged=stderr)
        said = "could not be" in stderr or "error: the journal".startswith(stderr.strip())  # what is said has no more room either
        full = status == 1 and _filled(proxy) and said
        assert full or status in (3, 4, -9), f"ended with {status}:\n{stdout[-2_000:]}\n{stderr[-2_000:]}"
        run = _run(home)
        if run is None and "device" in hooks.lost:
            return outcome(None, damaged="the device's disk lost the run itself")
        words = ["resume", run] if run is not None else ["run", "g.yaml"]
    raise AssertionError(f"not over after {ROUNDS} commands; the last said:\n{stdout[-2_000:]}\n{stderr[-2_000:]}")


def _doomed(folder: Path) -> tuple[str, ...]:
    """The doomed nodes whose doom came."""
    return tuple(
        node for node in ("paid", "sent") if (folder / f"was-doomed-{node}").exists() and not (folder / f"doom-{node}").exists()
    )


def _run(home: Path) -> str | None:
    """The root run that the device has begun; None if it died before."""
    from graphs.errors import JournalError
    from graphs.journal.reader import Reader

    path = home / "edge" / "journal.db"
    if not path.exists():
        return None
    reader = Reader(path)
    try:
        rows = reader.runs(role="root")
        return rows[0].run.hex() if rows else None
    except JournalError:
        return None  # it died before there were tables, or they are lost
    finally:
        reader._reader.close()
