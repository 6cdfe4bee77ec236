"""Resume: what each side says it holds of a log, and what follows from it (docs/protocol.md §10).

With n the smaller of both positions: the same checksum at n means that one copy is a prefix of the other and sending goes on from there. Another
checksum, or a writer that holds less than its reader, means that a store went back in time: the run has diverged and stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from protocol.events import NeedRecords
from protocol.handshake import MAX_STATEMENTS, DeviceHello, Statement, Status
from protocol.log import InLog, OutLog, Run
from protocol.messages import StoreId

if TYPE_CHECKING:
    from protocol.state import State

__all__ = ["Heard", "device_hello", "hear", "own_statements", "statement"]


class Heard(NamedTuple):
    """What a statement of the peer means for a run. `need`: records to be read from the store before its log goes on."""

    diverged: bool = False
    need: NeedRecords | None = None


def hear(run: Run, said: Statement, own: StoreId) -> Heard:
    """Take in what the peer says it holds of one of the run's logs."""
    if said.writer == own:
        out = run.out
        if out is None or said.have > out.durable or out.contradicts(said.have, said.chk):
            return Heard(diverged=True)
        out.resume(said.have)
        for start, count in said.shown:
            if (stream := out.streams.by_start.get(start)) is not None:
                stream.rewind(count)
        missing = out.lacks()
        return Heard(need=NeedRecords(run.id, own, *missing) if missing else None)
    into = run.into
    if into is not None and into.writer == said.writer:
        return Heard(diverged=said.have < into.last or into.contradicts(said.have, said.chk))
    return Heard()


def statement(log: InLog | OutLog, status: Status = Status.OK) -> Statement:
    """What this side holds durably of a log; said of the peer's log it is an acknowledgement."""
    have = log.state() if isinstance(log, InLog) else log.durable  # less than is here of a run that was given up
    return Statement(log.run, log.writer, have, log.chks[have], log.texts.shown() if isinstance(log, InLog) else (), status)


def device_hello(state: State, number: int) -> DeviceHello:
    """What a device says first on a connection."""
    config, logs = state.config, own_statements(state.runs.values())
    return DeviceHello(
        config.device, state.store, number, config.agent, caps=config.caps, limits=config.limits, logs=logs, session=state.session
    )


def own_statements(runs: Iterable[Run]) -> list[Statement]:
    """The logs of HELLO: of every run the worker may know. If they are too many, the newest."""
    found = [each for run in runs if not run.refused and not run.diverged for each in _statements(run)]
    return found[-MAX_STATEMENTS:]


def _statements(run: Run) -> Iterator[Statement]:
    if run.out is not None and run.out.offered:
        for log in run.logs():
            if log.durable:
                yield statement(log)
