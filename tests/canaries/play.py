"""Plays one planted graph after the other: a device, a worker, real sockets between them, and a proxy that keeps every byte."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlsplit

from canaries.kept import Logs, Withheld, found_in_files, logged
from canaries.moved import Way, again, brought, moved
from canaries.planted import LABELS, MODELS, Canary, Planted, plant, registry
from cloud.access import Access
from cloud.accounts import Account
from cloud.devices import token_hash
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.pairings import link_url
from edge.privacy.clearance import Clearance
from edge.runs.runner import run_graph
from edge.syncing.sync import converge
from graphs.errors import GraphInvalid, UsageError
from graphs.journal import Journal
from graphs.language.spec import Graph, is_computed
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.values import Value
from protocol.marks import mark
from protocol.messages import BlobChunk, Delta
from wiretap import Connection

__all__ = ["Leak", "Tally", "play", "playground", "without_labels"]

_AGENTS: Final = registry(diary=True)
_SECONDS: Final = 60
_HANDLE: Final = 16
_STRANGER: Final = "stranger"


class Leak(AssertionError):
    """A canary was on the wire."""


@dataclass
class Tally:
    """What the graphs of a series came to. `shown` counts cleared canaries that were seen: what is looked for can be found."""

    graphs: int = 0
    planted: int = 0
    secret: int = 0
    shown: int = 0
    bytes: int = 0
    logged: int = 0
    status: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    replaced: int = 0
    moves: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.graphs} graphs, {self.planted} canaries, {self.secret} of them not cleared, {self.shown} cleared ones seen; "
            f"{self.bytes:,} bytes looked through, and {self.logged:,} of logs; runs {dict(self.status)}, withheld at the gate in {self.withheld}, "
            f"nodes run here instead in {self.replaced}; moved {dict(self.moves)}"
        )


class _Proxy:
    """Between the device and the worker: keeps every byte of the connections since `begin`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._path = parts.path
        self.connections: list[Connection] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self.url = ""

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._path}"
        return server

    def begin(self) -> None:
        self.connections = []

    async def all_here(self) -> list[Connection]:
        """All connections, once they are over."""
        while self._pumps:
            await asyncio.wait(self._pumps)
        return self.connections

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        connection = Connection()
        self.connections.append(connection)
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            await asyncio.gather(_pump(reader, far_writer, connection.up), _pump(far_reader, writer, connection.down))
        finally:
            for each in writers:
                each.close()
            self._pumps.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            kept += data
            writer.write(data)
            await writer.drain()
    writer.close()


class _Playground:
    """`proxy` leads to the worker, `proxy_on` to that of somebody else; `other` is another device's journal, `stranger` that of a device of an
    account that has no runs. `withheld` are the canaries that are not to be at the worker.
    """

    def __init__(self, proxy: _Proxy, proxy_on: _Proxy, folder: Path, other: Journal, stranger: Journal, logs: Logs) -> None:
        self.proxy = proxy
        self.proxy_on = proxy_on
        self.folder = folder
        self.other = other
        self.stranger = stranger
        self.logs = logs
        self.journals = 0
        self.withheld = Withheld(folder, "worker")

    def begin(self, seed: int, canaries: Iterable[Canary], cleared: frozenset[str]) -> None:
        """A play begins that may send values of these labels to the worker. Raises Leak if it has what no earlier play might."""
        self._none(self.withheld.begin(seed, canaries, cleared))

    def look_at_files(self) -> None:
        """Looks for what the worker may not have in its files, and for tokens in all files. Raises Leak."""
        self._none(self.withheld.found())
        for file, text in found_in_files(self.folder.rglob("*"), {}, [token_of(name) for name, _ in _sets()]):
            raise Leak(f"the token {text} is in {file.name}")

    def _none(self, found: Iterable[tuple[int, Path, str]]) -> None:
        for seed, file, text in found:
            raise Leak(f"seed {seed}: {text} is in the worker's file {file.name}")


@asynccontextmanager
async def playground() -> AsyncIterator[_Playground]:
    """A worker that has an account for each set of labels it may be sent, and a proxy before it."""
    async with AsyncExitStack() as stack:
        logs = stack.enter_context(logged())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        accounts = {
            name: Account(name, clearance=labels, tokens={"t": f"sha256:{token_hash(token_of(name)).hex()}"})
            for name, labels in (*_sets(), (_STRANGER, frozenset(LABELS)))
        }
        proxies = []
        for name in ("worker", "another"):
            journal = stack.enter_context(Journal.open(folder / f"{name}.db", synchronous="normal"))
            worker = Worker(journal, registry(), ScriptedModels(map(ScriptedModel, MODELS)))
            server = WorkerServer(worker, access=Access(accounts))
            proxy = _Proxy(await server.start())
            stack.push_async_callback(server.stop)
            listening = await proxy.start()
            stack.push_async_callback(proxy.all_here)
            stack.callback(listening.close)
            proxies.append(proxy)
        other = stack.enter_context(Journal.open(folder / "other.db", synchronous="normal"))
        stranger = stack.enter_context(Journal.open(folder / "stranger.db", synchronous="normal"))
        ground = _Playground(proxies[0], proxies[1], folder, other, stranger, logs)
        yield ground
        ground.look_at_files()


def token_of(account: str) -> str:
    """What an account shows the worker: it is in nobody's log and nobody's file."""
    return f"sesame-{account}-4711"


def _sets() -> Iterator[tuple[str, frozenset[str]]]:
    yield "default", frozenset()
    for number in range(1, 2 ** len(LABELS)):
        labels = frozenset(label for place, label in enumerate(LABELS) if number >> place & 1)
        yield "-".join(sorted(labels)), labels


async def play(
    ground: _Playground, seeds: Iterable[int], *, broken: bool = False, named: bool = True, moves: float = 0.4
) -> Tally:
    """Run the graph of each seed, and look for its canaries in what went over the wire. Raises Leak.

    `broken`: placement has a bug, it sends everything to the worker and sees no labels. `named`: also where they may go, their bodies are to be named
    by handles; what a device keeps of its own runs is named by who calculates labels, and not by the gate. Of so many of the runs, `moves`, is then
    looked at what becomes of them.
    """
    tally = Tally()
    ground.journals += 1
    with (
        Journal.open(ground.folder / f"device-{ground.journals}.db", synchronous="normal") as journal,
        without_labels() if broken else ExitStack(),
    ):
        for seed in seeds:
            await _play_one(ground, journal, seed, tally, broken=broken, named=named, moves=moves)
    return tally


async def _play_one(
    ground: _Playground, journal: Journal, seed: int, tally: Tally, *, broken: bool, named: bool, moves: float
) -> None:
    chance = random.Random(seed)
    planted = plant(chance)
    sets = list(_sets())
    account, taken = chance.choice([*sets, sets[-1], sets[-1], sets[-1]])
    let_go = frozenset(label for label in LABELS if chance.random() < 0.7)
    url = ground.proxy.url
    token = token_of(account)
    ground.begin(seed, planted.canaries, let_go & taken)
    clearance = Clearance({label: frozenset({link_url(url)} if label in let_go else ()) for label in LABELS})
    case = _Case(seed, planted, tally, broken, named)
    ground.proxy.begin()
    report = await _run(ground, planted, chance, journal, clearance, url, token, broken=broken)
    tally.graphs += 1
    tally.planted += len(planted.canaries)
    await _look(ground.proxy, case, clearance, let_go, taken)
    if report is None:
        tally.status["refused"] += 1
        _look_at_logs(ground, case)
        return
    if chance.random() < moves:
        await _move(ground, journal, case, chance, Way(url, token, clearance), let_go, taken)
    _look_at_logs(ground, case)
    tally.status[report.status] += 1
    codes = {getattr(error, "condition", "") for error in report.errors.values()}
    here = any(node.reason == "ran here instead of at the worker" for node in report.nodes.values())
    tally.withheld += "LABEL_WITHHELD" in codes or here
    tally.replaced += here
    if not (broken or planted.dynamic) and ("LABEL_WITHHELD" in codes or here):
        raise AssertionError(f"seed {seed}: placement let go what the gate withheld: {report.errors}")


@dataclass(frozen=True)
class _Case:
    seed: int
    planted: Planted
    tally: Tally
    broken: bool
    named: bool


async def _move(
    ground: _Playground,
    journal: Journal,
    case: _Case,
    chance: random.Random,
    way: Way,
    let_go: frozenset[str],
    taken: frozenset[str],
) -> None:
    """Brings the run that was just played to the worker, to another device, and on to another worker under another policy."""
    run = journal.runs(1, role="root")[0].run
    done = case.tally.moves
    ground.proxy.begin()
    await moved(journal, run, way, chance, done)
    await _look(ground.proxy, case, way.clearance, let_go, taken)
    if chance.random() < 0.7:
        ground.proxy.begin()
        there = await brought(journal, run, ground.other, way, chance, done)
        await _look(ground.proxy, case, way.clearance, let_go, taken)
        if there:
            account, takes = chance.choice(list(_sets()))
            lets = frozenset(label for label in LABELS if chance.random() < 0.5)
            url = ground.proxy_on.url
            clearance = Clearance({label: frozenset({link_url(url)} if label in lets else ()) for label in LABELS})
            ground.proxy_on.begin()
            await again(ground.other, run, Way(url, token_of(account), clearance), str(ground.folder), chance, done)
            await _look(ground.proxy_on, case, clearance, lets, takes)
    if chance.random() < 0.2:
        await _look_from_elsewhere(ground, case, way.url)
    mark(journal, run, on=False)
    await journal.barrier()


async def _look_from_elsewhere(ground: _Playground, case: _Case, url: str) -> None:
    """A device of another account, which may be sent everything, syncs with that worker. Raises Leak."""
    ground.proxy.begin()
    way = Way(url, token_of(_STRANGER), Clearance({label: frozenset({link_url(url)}) for label in LABELS}))
    await converge(ground.stranger, lambda runs: way.connect(ground.stranger, runs))
    seen, _ = _seen(await ground.proxy.all_here())
    case.tally.moves["stranger"] += 1
    for canary in case.planted.canaries:
        if any(form in seen for form in canary.forms()):
            raise Leak(f"seed {case.seed}: {canary.text} was given to another account")
    if ground.stranger.heads():
        raise Leak(f"seed {case.seed}: another account was given runs")


def _look_at_logs(ground: _Playground, case: _Case) -> None:
    """Raises Leak."""
    said = ground.logs.taken()
    case.tally.logged += len(said)
    for form, what in _not_to_be_logged(case):
        if form in said:
            line = next(each for each in said.splitlines() if form in each)
            raise Leak(f"seed {case.seed}: {what} is in a log: {line!r}")


def _not_to_be_logged(case: _Case) -> Iterator[tuple[bytes, str]]:
    for canary in case.planted.canaries:
        yield from ((form, f"{canary.text} of {sorted(canary.labels)}") for form in canary.forms())
    yield from ((token_of(name).encode(), f"the token of {name}") for name, _ in _sets())


async def _look(proxy: _Proxy, case: _Case, clearance: Clearance, let_go: frozenset[str], taken: frozenset[str]) -> None:
    """Looks for the canaries in what went through since `begin`. Raises Leak."""
    connections = await proxy.all_here()
    seen, hashed = _seen(connections)
    seed, tally = case.seed, case.tally
    tally.bytes += len(seen)
    for canary in case.planted.canaries:
        if case.named and canary.text.encode() in hashed:
            raise Leak(f"seed {seed}: {canary.text} of {sorted(canary.labels)} is in a body that is named by its hash")
        shown = next((form for form in canary.forms() if form in seen), None)
        if canary.labels <= (let_go & taken):
            tally.shown += shown is not None
            continue
        tally.secret += 1
        if shown is not None:
            raise Leak(_told(seed, canary, shown, clearance, taken, broken=case.broken))


async def _run(
    ground: _Playground,
    planted: Planted,
    chance: random.Random,
    journal: Journal,
    clearance: Clearance,
    url: str,
    token: str,
    *,
    broken: bool,
) -> Any:
    """The run's report; None if placement found no place for a node."""

    async def connect(url: str, token: str | None, journal: Journal, runs: Any) -> Any:
        return await connect_worker(url, token=token, journal=journal, runs=runs, clearance=clearance)

    device = Device(
        journal=journal,
        agents=_AGENTS,
        models=ScriptedModels([ScriptedModel(name) for name in (MODELS if chance.random() < 0.7 else MODELS[:1])]),
        default_model=MODELS[0],
        files=str(ground.folder),
        connect=connect,
        clearance=clearance,
    )
    try:
        graph = Graph.of(planted.graph, _AGENTS)
    except GraphInvalid:
        return None
    computed = [name for name, spec in graph.nodes.items() if is_computed(spec)]
    most = 1.0 if broken else chance.choice([0.0, 0.5, 0.9])
    pinned: dict[str, Any] = {name: "cloud" for name in computed if chance.random() < most}
    while True:
        options = RunOptions(
            inject=planted.inject,
            url=url,
            token=token,
            pinned=pinned,
            max_turns=4,
            deadline=_SECONDS,
            all=chance.random() < 0.5,
        )
        try:
            return await run_graph(device, graph, options, name="canaries")
        except UsageError as error:
            refused = [name for name, _ in _nodes(planted.graph) if f"node {name!r} " in str(error)]
            if not any(name in pinned or "place" in spec for name, spec in _nodes(planted.graph) if name in refused):
                return None
            for name, spec in _nodes(planted.graph):
                if name in refused:
                    spec.pop("place", None)
                    pinned.pop(name, None)
            graph = Graph.of(planted.graph, _AGENTS)


def _nodes(graph: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All nodes that are written in a graph, and in those inside it."""
    for name, spec in graph["nodes"].items():
        yield name, spec
        if isinstance(spec.get("graph"), dict):
            yield from _nodes(spec["graph"])


@contextmanager
def without_labels() -> Iterator[None]:
    """Placement as if nothing had labels."""
    with patch("edge.placement.confined", lambda *_args, **_more: None):
        yield


def _seen(connections: Iterable[Connection]) -> tuple[bytes, bytes]:
    """All that a reader of the wire could see: packets unmasked, graphs inflated, bodies and the pieces of answers put together; and of that the
    bodies that go by their hashes.
    """
    parts: list[bytes] = []
    hashed: list[bytes] = []
    for each in connections:
        parts.append(each.everything())
        for messages in (each.sent(), each.received()):
            bodies: dict[bytes, bytes] = {}
            pieces: list[Value] = []
            for message in messages:
                if isinstance(message, BlobChunk):
                    bodies[message.ref] = bodies.get(message.ref, b"") + bytes(message.data)
                elif isinstance(message, Delta):
                    pieces += message.data
            parts += bodies.values()
            hashed += (body for ref, body in bodies.items() if len(ref) > _HANDLE)
            parts.append("".join(piece for piece in pieces if isinstance(piece, str)).encode())
    return b"\n".join(parts), b"\n".join(hashed)


def _told(seed: int, canary: Canary, shown: bytes, clearance: Clearance, taken: frozenset[str], *, broken: bool) -> str:
    places = {label: sorted(places) for label, places in clearance.places.items()}
    return (
        f"seed {seed}{' with placement broken' if broken else ''}: {canary.text} of {sorted(canary.labels)} was on the wire as "
        f"{shown!r}; the device lets go {places}, the worker takes {sorted(taken)}"
    )
