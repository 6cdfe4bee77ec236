"""The inbox: what each message of the peer means, but for records (protocol.entries). Raises RemoteProtocolError where it breaks a rule; the session
makes that a FAULT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from protocol.body_messages import BodyMessages
from protocol.copied_log import OutCopy
from protocol.errors import FAULTS, LocalProtocolError, RemoteProtocolError
from protocol.events import (
    Acked,
    DeltaSeen,
    Faulted,
    GoingAway,
    Offered,
    Ready,
    Refused,
    StateSeen,
)
from protocol.graph_messages import GraphMessages
from protocol.handshake import MAX_STATEMENTS, DeviceHello, Statement, Status, WorkerWelcome, agree, read_offer
from protocol.log import InLog, OutLog, Run
from protocol.messages import (
    CATALOGUE,
    Ack,
    BlobChunk,
    BlobNeed,
    BlobState,
    Delta,
    Digest,
    Direction,
    Entry,
    Fault,
    GoAway,
    GraphState,
    GraphStatus,
    Hello,
    Log,
    Message,
    Offer,
    Ping,
    Pong,
    PutGraph,
    StateShown,
    StoreId,
    Unhandled,
    Welcome,
)
from protocol.outbox import MAX_ANSWERS
from protocol.resume import hear, statement
from protocol.session_runs import TAKEN
from protocol.state import Connection, State

__all__ = ["Inbox"]

_new: Callable[..., Any] = tuple.__new__
"""Makes a named tuple in half the time."""
_DIRECTIONS: Final[Mapping[Any, Direction]] = {
    kind.message: kind.direction for kind in CATALOGUE.values() if kind.message is not None and kind.message is not Entry
}


class Inbox:
    """Reads the messages of one peer into the shared state."""

    __slots__ = ("_foreign", "_handlers", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._foreign = Direction.UP if state.is_device else Direction.DOWN
        """What this side never receives: the direction it sends in."""
        bodies, graphs = BodyMessages(state), GraphMessages(state)
        self._handlers: Mapping[type[Any], Callable[[Connection, int, Any], None]] = {
            Hello: self._hello,
            Welcome: self._welcome,
            Ping: self._ping,
            Pong: self._pong,
            Log: self._log,
            GoAway: self._go_away,
            Fault: self._fault,
            Offer: self._offer,
            PutGraph: graphs.put,
            GraphState: graphs.state,
            BlobNeed: bodies.need,
            BlobChunk: bodies.chunk,
            BlobState: bodies.state,
            StateShown: self._state_shown,
            Digest: state.copies.digest,
            Unhandled: self._unhandled,
        }

    def handle(self, connection: Connection, now: int, message: Message) -> None:
        """Take in one message that is no record. Raises RemoteProtocolError."""
        kind = type(message)
        if kind not in connection.hears:
            self.out_of_place(connection, kind)
        if connection.outbox.answering > MAX_ANSWERS:
            raise RemoteProtocolError("LIMIT_CONTROL", f"{MAX_ANSWERS:,} bytes of answers wait to be read")
        self._handlers[kind](connection, now, message)

    def out_of_place(self, connection: Connection, kind: type[Any]) -> NoReturn:
        """Such a message may not come now. Raises RemoteProtocolError that says why."""
        if _DIRECTIONS.get(kind) is self._foreign:
            raise RemoteProtocolError("PROTOCOL_ORDER", f"{kind.__name__} goes the other way")
        when = "came a second time" if connection.greeted else "came before the handshake"
        raise RemoteProtocolError("PROTOCOL_HANDSHAKE", f"{kind.__name__} {when}")

    # -- handshake

    def _hello(self, connection: Connection, _now: int, message: Hello) -> None:
        state = self._state
        hello = DeviceHello.read(message)
        if hello.device != state.config.device or hello.conn != connection.number:
            raise RemoteProtocolError("AUTH_FORBIDDEN", "this HELLO is for another device's session")
        if len(hello.logs) > MAX_STATEMENTS:
            raise RemoteProtocolError("PROTOCOL_HANDSHAKE", f"more than {MAX_STATEMENTS:,} logs in one HELLO")
        agreed = agree(hello.versions, hello.caps, hello.limits, state.config.caps, state.config.limits)
        connection.outbox.limits = agreed.limits
        connection.move("HELLO")
        state.peer = hello.store
        answers = self._answer(hello.logs)
        welcome = WorkerWelcome(
            state.store,
            agreed.version,
            state.config.hb_ms,
            sorted(agreed.caps),
            state.config.limits,
            answers,
            state.offer,
        )
        try:
            connection.outbox.control(welcome.message())
        except LocalProtocolError as error:
            raise RemoteProtocolError("LIMIT_PACKET", f"the answer to so many logs is too long: {error.text}") from None
        if state.draining is not None:
            connection.outbox.control(GoAway("draining", 0, state.draining))
        for h in sorted(state.wanted):
            connection.outbox.control(GraphState(h, GraphStatus.UNKNOWN))
        state.wants.connected()
        state.events.append(Ready(hello.store, {}))

    def _answer(self, said: tuple[Statement, ...] | Any) -> list[Statement]:
        """What this worker holds of every log named, and of the further logs of those runs."""
        state = self._state
        answers: list[Statement] = []
        named: dict[Run, set[StoreId]] = {}
        for each in said:
            run = state.runs.get(each.run)
            if run is None:
                status = Status.EXPIRED if each.run in state.expired else Status.UNKNOWN
                status = Status.TAKEN if each.run in state.taken else status
                answers.append(Statement(each.run, each.writer, 0, 0, status=status))
                continue
            named.setdefault(run, set()).add(each.writer)
            self._hear(run, each)
        for each in said:
            run = state.runs.get(each.run)
            if run is not None:
                log = next((log for log in run.logs() if log.writer == each.writer), None)
                status = Status.DIVERGED if run.diverged else Status.OK if log is not None else Status.UNKNOWN
                answers.append(
                    statement(log, status) if log is not None else Statement(each.run, each.writer, 0, 0, status=status)
                )
        for run, writers in named.items():
            answers += [statement(log) for log in run.logs() if log.writer not in writers and not run.diverged]
            if run.out is not None and run.out.writer not in writers:
                # an unnamed log is one the device holds nothing of
                self._hear(run, Statement(run.id, state.store, 0, 0))
            if not run.diverged:
                state.resume(run)
                state.trim(run)
        return answers

    def _welcome(self, connection: Connection, _now: int, message: Welcome) -> None:
        state = self._state
        welcome = WorkerWelcome.read(message)
        agreed = agree((welcome.version, welcome.version), welcome.caps, welcome.limits, state.config.caps, state.config.limits)
        connection.outbox.limits = agreed.limits
        connection.liveness.agreed(welcome.hb_ms)
        connection.hurries = True
        connection.move("WELCOME")
        if state.peer is not None and state.peer != welcome.store:
            self._store_changed()
        state.peer = welcome.store
        state.shelf.met(welcome.store)
        self._resume_all(welcome)
        state.offer = welcome.offer
        state.wants.connected()
        state.events.append(Ready(welcome.store, welcome.offer))

    def _store_changed(self) -> None:
        # another store never saw these runs, and the old one may still execute them
        for run in self._state.runs.values():
            if run.out is not None and run.out.offered and not run.live and not run.over:
                self._refuse(run, "STORE_CHANGED", "the worker has another store than the one this run was sent to", None)

    def _resume_all(self, welcome: WorkerWelcome) -> None:
        state = self._state
        heard: dict[Run, set[StoreId]] = {}
        for said in welcome.logs:
            run = state.runs.get(said.run)
            if run is None or run.refused is not None:
                continue
            heard.setdefault(run, set()).add(said.writer)
            if said.status in (Status.UNKNOWN, Status.EXPIRED, Status.TAKEN) and _is_done(run):
                continue  # its END is here: the worker owes nothing and may have forgotten it
            if said.status is Status.EXPIRED:
                self._refuse(run, "RUN_EXPIRED", "the worker keeps only the tombstone of this run", None)
            elif said.status is Status.TAKEN:
                self._refuse(run, "RUN_TAKEN", TAKEN, None)
            elif said.status is Status.DIVERGED:
                state.diverge(run, said.writer)
            else:
                self._hear(run, said)
        for run, writers in heard.items():
            if run.out is None or run.diverged or run.refused is not None:
                continue
            if run.out.writer not in writers:
                raise RemoteProtocolError("PROTOCOL_HANDSHAKE", "WELCOME leaves out a log that HELLO named")
            run.settled = _is_done(run)
            if not run.settled:
                state.resume(run)

    def _hear(self, run: Run, said: Statement) -> None:
        state = self._state
        if run.diverged:
            return
        if said.writer != state.store:
            run.announced = max(run.announced, said.have)
        before = run.out.acked if run.out is not None else 0
        heard = hear(run, said, state.store)
        run.fence()
        if not heard.diverged and run.out is not None and run.out.acked > before:
            state.events.append(Acked(run.id, run.out.acked))
        if heard.diverged:
            state.diverge(run, said.writer)
            if state.is_device and state.connection is not None:
                text = "the two copies of this log contradict each other"
                state.connection.outbox.control(Fault("RUN_DIVERGED", text, False, [run.id, said.writer]))
        elif heard.need is not None:
            state.events.append(heard.need)

    # -- records

    def _log(self, connection: Connection, _now: int, message: Log) -> None:
        if message.al <= connection.announced:
            raise RemoteProtocolError("PROTOCOL_ALIAS", f"alias {message.al} was given before", about=message.al)
        connection.announced = message.al
        if self._state.copies.log(connection, message):
            return
        run = self._taking(connection, message)
        if run is None or run.diverged:
            return
        into = run.into
        assert into is not None
        if message.next > into.last + 1:
            raise RemoteProtocolError(
                "GAP", f"records from {message.next} were announced, {into.last} are here", about=message.al
            )
        connection.aliases.pop(into.alias, None)
        into.alias = message.al
        connection.aliases[message.al] = run, into
        if not run.live:
            self._state.resume(run)

    def _taking(self, connection: Connection, message: Log) -> Run | None:
        """The run whose log is announced, or None if it is not taken; then the peer was told why."""
        state = self._state
        run = state.runs.get(message.run)
        refusal = self._refusal(run, message)
        if refusal is not None:
            code, text, retry_ms = refusal
            connection.outbox.answer(Fault(code, text, False, message.al, retry_ms))
            return None
        if run is None:
            run = state.runs[message.run] = Run(message.run)
            run.out = OutLog(message.run, state.store)
        if run.into is None:
            run.into = InLog(message.run, message.writer)
            run.fence()
        return run

    def _refusal(self, run: Run | None, message: Log) -> tuple[str, str, int | None] | None:
        """Why the announced log is not taken: code, text, and when to ask again."""
        state = self._state
        if message.writer != state.peer or (run is not None and run.into is not None and run.into.writer != message.writer):
            return "RUN_UNKNOWN", "logs of a third store are not taken", None
        if run is not None:
            return None
        if state.is_device:
            return "RUN_UNKNOWN", "no such run here", None
        if message.run in state.taken:
            return "RUN_TAKEN", TAKEN, None
        if message.run in state.expired:
            return "RUN_EXPIRED", "only the tombstone of this run is left", None
        if state.draining is not None:
            return "DRAINING", "this worker takes no new runs", state.draining
        open_runs = sum(1 for each in state.runs.values() if each.out is not None and not each.out.ended)
        if state.offer.get("queue") == 0 or open_runs >= state.config.max_runs:
            return "BUSY", "this worker has no free places", state.config.busy_ms
        return state.config.room(message.run)

    def ack(self, connection: Connection, positions: Iterable[tuple[int, int]]) -> None:
        """Take in the positions of an acknowledgement. Raises RemoteProtocolError."""
        if Ack not in connection.hears:
            self.out_of_place(connection, Ack)
        state, outbox = self._state, connection.outbox
        for alias, seq in positions:
            out = outbox.aliases.get(alias)
            if out is None:
                if alias > outbox.given:
                    raise RemoteProtocolError("PROTOCOL_ALIAS", f"an ACK of alias {alias}, which was never given")
                continue
            if out.__class__ is not OutLog:
                assert isinstance(out, OutCopy)
                if out.acknowledge(seq):
                    state.copies.acknowledged(connection, out)
            elif out.acknowledge(seq):
                state.events.append(_new(Acked, (out.run, seq)))
                if out.cancelled:
                    state.fence(state.runs[out.run])
                if out.ended:
                    state.trim(state.runs[out.run])
                if out.sent < out.durable:
                    state.flow(state.runs[out.run])

    def _fault(self, connection: Connection, now: int, message: Fault) -> None:
        state = self._state
        about = message.about
        kind = FAULTS.get(message.code)
        out = connection.outbox.aliases.get(about) if type(about) is int and not message.fatal else None
        if isinstance(out, OutCopy):
            state.copies.refused(connection, out, message)
        elif out is not None:
            run = state.runs[out.run]
            again = message.retry_ms if message.code in ("BUSY", "DRAINING") else None
            connection.outbox.withdraw(out)
            if again is not None:
                state.parked[run] = now + again
                connection.hurries = True
                out.resume(out.acked)
            self._refuse(run, message.code, message.text, again)
        elif type(about) is list and message.code == "RUN_DIVERGED" and (run_ := _run_of(state, about)) is not None:
            state.diverge(run_, about[1])
        elif type(about) is list and message.code == "RUN_TAKEN" and (run_ := _run_of(state, about)) is not None:
            if run_.out is not None:
                connection.outbox.withdraw(run_.out)
            self._refuse(run_, message.code, message.text, None)
        elif type(about) is not list or not state.copies.lost(_key(about), message.code, message.text):
            close = kind.close if kind is not None and message.fatal else None
            if message.code == "STALE_CONN":
                state.session = 0  # the next connection begins another one
            state.events.append(Faulted(message.code, message.text, False, close, about, message.retry_ms))

    def _refuse(self, run: Run, code: str, text: str, retry_ms: int | None) -> None:
        if retry_ms is None:
            run.refused = code
            run.look_closer()
        run.live = retry_ms is not None and run.live
        self._state.events.append(Refused(run.id, code, text, retry_ms))

    # -- everything else

    def _ping(self, connection: Connection, now: int, message: Ping) -> None:
        connection.outbox.answer(Pong(message.n, message.t, now))

    def _pong(self, _connection: Connection, _now: int, _message: Pong) -> None:
        """Any byte counts as life."""

    def _go_away(self, connection: Connection, _now: int, message: GoAway) -> None:
        connection.going_away = True
        connection.move("GOAWAY")
        self._state.events.append(GoingAway(*message))

    def _offer(self, _connection: Connection, _now: int, message: Offer) -> None:
        try:
            self._state.offer = read_offer(message.body)
        except ValueError as error:
            raise RemoteProtocolError("PROTOCOL_DECODE", f"OFFER: {error}") from None
        self._state.events.append(Offered(message.body))

    def delta(self, connection: Connection, message: Delta) -> None:
        """Take in tokens. Raises RemoteProtocolError."""
        if Delta not in connection.hears:
            self.out_of_place(connection, Delta)
        taking = connection.aliases.get(message[0])
        if taking is not None and (new := taking[1].texts.take(message)) is not None:
            path, at, off, tokens, n = new
            self._state.events.append(_new(DeltaSeen, (taking[1].run, path, at, message[1], off, tokens, n)))

    def _state_shown(self, connection: Connection, _now: int, message: StateShown) -> None:
        taking = connection.aliases.get(message.al)
        if taking is not None:
            self._state.events.append(StateSeen(taking[0].id, message.path, message.at, message.state, message.t))

    def _unhandled(self, connection: Connection, _now: int, message: Unhandled) -> None:
        kind = CATALOGUE.get(message.type)
        name = kind.name if kind is not None else f"type {message.type:#x}"
        text = f"{name} is not spoken by this version: it was not carried out"
        connection.outbox.answer(Fault("PROTOCOL_TYPE", text, False, message.type))


def _key(about: list[Any]) -> Any:
    """The log that a fault is about; nobody has one under anything else."""
    return tuple(about) if len(about) == 2 and type(about[0]) is bytes and type(about[1]) is bytes else (b"", b"")


def _is_done(run: Run) -> bool:
    """On a device: END is durable here; orders after it have no effect."""
    return run.into is not None and run.into.ended and run.into.durable == run.into.last


def _run_of(state: State, about: list[Any]) -> Run | None:
    return state.runs.get(about[0]) if len(about) == 2 and type(about[0]) is bytes and type(about[1]) is bytes else None
