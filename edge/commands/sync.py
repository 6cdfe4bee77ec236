"""`graphferry sync`: what waits goes out, what finished comes in, and the worker and this device have the same of what they share."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from edge.commands.options import add_run_options, duration
from edge.commands.upgrading import say_upgrades, upgrade_all
from edge.config import EdgeConfig, load_config
from edge.network.link_policy import held_back
from edge.network.sensing import read_conditions
from edge.people.answers import overtaken_in
from edge.showing.node_table import size
from edge.syncing.alone import WAITS, AnotherSyncs
from edge.syncing.repeated import Repeated
from edge.syncing.spool import ToGo, over_the_bound, spooled, total
from edge.syncing.waking import to_move, wait_for_more
from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphferryError, LinkCondition, UsageError, WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import run_id_short, run_id_text
from graphs.questions import shown
from graphs.values import clean

if TYPE_CHECKING:
    from edge.showing.report import RunReport
    from edge.syncing.sync import Round

__all__ = ["add_arguments", "main"]

_EVERY: Final = 30.0
_LONGEST: Final = 900.0
"""Seconds between two looks of `--watch`; and at most, while the worker is not reached."""
_UNHEARD: Final = "warning: {}; so nothing is held back for it\n"
_NO_ROOM: Final = frozenset({"BUSY", "QUOTA", "INTERNAL"})
"""Codes with which a worker does not take a run that it would take if it had room, or a disk that works: what was to go out has not gone."""
_NAMED: Final = 3
"""How many of the runs are named that are refused for the same reason; `--json` has all of them."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--cloud", metavar="URL", help="the worker to sync with, if not the configured one")
    parser.add_argument("--watch", action="store_true", help="go on for ever: one round after the other")
    parser.add_argument(
        "--every", metavar="DURATION", default=f"{_EVERY:g}s", help="the pause between two rounds of --watch (%(default)s)"
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="do again what something smaller stood in for, and what depended on it, in forks"
    )
    parser.add_argument("--now", action="store_true", help="move everything, whatever the network and the battery")
    parser.add_argument("--status", action="store_true", help="say how things stand and move nothing")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a round")


def main(args: Namespace, env: Environment) -> int:
    config = load_config(env)
    url = args.cloud or config.url
    if not config.journal.is_file():
        Journal.open(config.journal).close()  # a new device: what its account has elsewhere comes in
    every = duration(args.every)
    if args.status:
        return _status(args, env, config, url)
    if url is None:
        raise UsageError("no worker is configured", hint="Pair with one (graphferry pair), or name it with --cloud URL.")
    try:
        return _watch(args, env, config, url, every) if args.watch else _once(args, env, config, url, Repeated())
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED


def _once(args: Namespace, env: Environment, config: EdgeConfig, url: str, said: Repeated) -> int:
    from edge.syncing.sync import converge

    held = None if args.now else _held_back(env, config, said)

    def waits() -> None:
        env.stderr.write(WAITS)

    with Journal.open(config.journal) as journal:
        done = asyncio.run(converge(journal, _connector(journal, config, url, held), held, waits=waits))
        going = _waiting(journal)
    ended = [(run, _resume(run, url, env, config, held, said)) for run in going]
    upgraded = upgrade_all(config, url, env) if args.upgrade and held is None else []
    if ended or upgraded:
        with Journal.open(config.journal) as journal:
            done += asyncio.run(converge(journal, _connector(journal, config, url, held), held, waits=waits))
    _print(done, ended, upgraded, args, env, config, said)
    if done.unkept or any(code in _NO_ROOM for code, _ in done.refused.values()):
        return ExitStatus.FAILED
    statuses = [status for _, status in ended] + [each["status"] for each in upgraded]
    return ExitStatus.SUSPENDED if "suspended" in statuses else ExitStatus.COMPLETED


def _held_back(env: Environment, config: EdgeConfig, said: Repeated) -> str | None:
    """Why large values and marked runs wait, if they do; who should have told it and did not is named, as nothing waits then."""
    conditions = read_conditions(env.environ, config.link.command)
    if conditions.unheard:
        said.tell(env.stderr, _UNHEARD.format(conditions.unheard).rstrip())
    return held_back(config.link, conditions)


def _watch(args: Namespace, env: Environment, config: EdgeConfig, url: str, every: float) -> int:
    pause, said = every, Repeated()
    while True:
        said.next_round()
        before, rest = to_move(config.journal), every
        try:
            _once(args, env, config, url, said)
            pause = every
        except WorkerUnreachable as error:
            env.stderr.write(f"{error.message}; looking again in {pause:g} s\n")
            pause, rest = min(2 * pause, max(_LONGEST, every)), pause
        except (LinkCondition, AnotherSyncs) as error:
            said.tell(env.stderr, error.message)
        wait_for_more(config.journal, before, rest)


def _status(args: Namespace, env: Environment, config: EdgeConfig, url: str | None) -> int:
    from edge.syncing.sync import standing

    unreachable: WorkerUnreachable | None = None
    with Journal.open(config.journal) as journal:
        try:
            found = asyncio.run(standing(journal, _connector(journal, config, url) if url and not config.offline else None))
        except WorkerUnreachable as error:
            unreachable = error
            found = asyncio.run(standing(journal, None))
    conditions = read_conditions(env.environ, config.link.command)
    held = held_back(config.link, conditions)
    if conditions.unheard:
        env.stderr.write(_UNHEARD.format(conditions.unheard))
    warning = over_the_bound(ToGo(found.ahead, found.bytes), config.link)
    if args.json:
        more = {
            "held": held,
            "conditions": asdict(conditions),
            "spool": {"bound": config.link.spool, "over": warning is not None},
        }
        env.stdout.write(json.dumps({**found.as_json(), **more}) + "\n")
        return ExitStatus.COMPLETED
    if not found.asked:
        why = unreachable.message if unreachable is not None else "no worker was asked"
        env.stdout.write(
            f"ahead by {found.ahead} records ({size(found.bytes)}) since the last sync; behind is not known: {why}\n"
        )
    elif found.ahead or found.behind:
        env.stdout.write(f"ahead by {found.ahead} records ({size(found.bytes)}), behind by {found.behind}\n")
    else:
        env.stdout.write("up to date with the worker\n")
    for word, runs in (
        ("waiting", found.waiting),
        ("asking", found.asking),
        ("degraded", found.degraded),
        ("diverged", found.diverged),
        ("withheld", found.withheld),
    ):
        for run in runs:
            env.stdout.write(f"{word:<9} {run}\n")
    if held is not None:
        env.stdout.write(f"{_held(held, ToGo(found.ahead, found.bytes))}\n")
    if warning is not None:
        env.stdout.write(f"warning: {warning}\n")
    return ExitStatus.COMPLETED


def _print(
    done: Round,
    ended: Sequence[tuple[str, str]],
    upgraded: Sequence[dict[str, Any]],
    args: Namespace,
    env: Environment,
    config: EdgeConfig,
    said: Repeated,
) -> None:
    with Journal.open(config.journal) as journal:
        left = total(spooled(journal))
        others = list(overtaken_in(journal, done.received))
    if (warning := over_the_bound(left, config.link)) is not None:
        said.tell(env.stderr, f"warning: {warning}")
    if args.json:
        went = [{"run": run, "status": status} for run, status in ended]
        more: dict[str, Any] = {"upgraded": upgraded} if args.upgrade else {}
        more["overtaken"] = [{"run": run_id_text(run), "node": path, "answer": clean(value)} for run, path, value in others]
        spool = {"records": left.records, "bytes": left.bytes, "bound": config.link.spool}
        env.stdout.write(json.dumps({**done.as_json(), "went_on": went, **more, "spool": spool}) + "\n")
        return
    for run, status in ended:
        said.tell(env.stdout, f"{run}  {status}")
    for root, path, value in others:
        said.tell(
            env.stdout, f"{run_id_text(root)} went on with another answer to {path!r} than the one given here: {shown(value)}"
        )
    say_upgrades(upgraded, env)
    for line in _not_in_sync(done.refused):
        said.tell(env.stderr, line)
    if done.unkept:
        runs = f"{len(done.unkept)} runs" if len(done.unkept) > 1 else "a run"
        why = next(iter(done.unkept.values()))
        said.tell(env.stderr, f"not all of {runs} came in: {why} Free some space; the next sync goes on where this one stopped.")
    if done.sent:
        out = total(done.sent)
        env.stdout.write(f"{_count(out.records, 'record')} of {_count(len(done.sent), 'run')} went out, {size(out.bytes)}\n")
    came = sum(done.received.values())
    if came or done.bodies:
        parts = (_count(came, "record"), _count(len(done.received), "run"), _count(done.bodies, "large value"))
        env.stdout.write("{} of {} came in, {}, {}\n".format(*parts, size(done.size)))
    if done.held is not None:
        said.tell(env.stdout, _held(done.held, left))
    elif not (came or done.sent or done.bodies or ended or upgraded or done.unkept):
        said.tell(env.stdout, f"everything {'else ' if done.refused else ''}is in sync")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _not_in_sync(refused: Mapping[bytes, tuple[str, str]]) -> Iterator[str]:
    """One line a reason: a full disk refuses all runs alike."""
    by_reason: dict[tuple[str, str], list[bytes]] = {}
    for run, reason in refused.items():
        by_reason.setdefault(reason, []).append(run)
    for (code, text), runs in by_reason.items():
        if len(runs) == 1:
            yield f"{run_id_text(runs[0])} is not in sync: {code}: {text}"
            continue
        named = ", ".join(map(run_id_short, runs[:_NAMED]))
        more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
        yield f"{len(runs)} runs are not in sync: {code}: {text} ({named}{more})"


def _held(why: str, left: ToGo) -> str:
    what = (
        f"{left.records} records of marked runs ({size(left.bytes)}) and large values wait"
        if left.records
        else "large values would wait"
    )
    return f"{what}, since {why}; `graphferry sync --now` does not"


def _connector(journal: Journal, config: EdgeConfig, url: str, held: str | None = None) -> Any:
    from edge.device import worker_connector

    connect = worker_connector(config, held)
    return lambda runs: connect(url, config.token, journal, runs)


def _waiting(journal: Journal) -> list[str]:
    from edge.syncing.waiting import waiting_runs

    return [run_id_text(row.run) for row in waiting_runs(journal)]


def _resume(run: str, url: str, env: Environment, config: EdgeConfig, held: str | None, said: Repeated) -> str:
    """Go on with a run, quietly; what became of it. Large values wait while they are `held` back."""
    from edge.commands.resume import open_resumed
    from edge.device import worker_connector
    from edge.runs.resuming import resume_run

    parser = ArgumentParser()
    add_run_options(parser)
    words = parser.parse_args(["--cloud", url, "--json", "--progress", "quiet"])
    words.run = run
    try:
        with open_resumed(words, env) as (device, graph, options, row):
            device.connect = worker_connector(config, held)

            async def whole() -> RunReport:
                try:
                    return await resume_run(device, graph, options, row.run, name=row.name)
                finally:
                    await device.models.close()

            report = asyncio.run(whole())
            if report.status != "completed":
                for message in dict.fromkeys(getattr(error, "message", str(error)) for error in report.errors.values()):
                    said.tell(env.stderr, f"{run} is {report.status}: {message}")
            return report.status
    except GraphferryError as error:
        said.tell(env.stderr, f"{run} does not go on: {error.message}")
        return "suspended"
