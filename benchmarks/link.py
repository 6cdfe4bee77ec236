"""The link against bare websockets and a raw protocol: every goal taken beside its bound in one run.

    python -m benchmarks.link [--smoke] [--repeats N] [--json FILE] [--write]

Both ends of everything are in this process, on loopback, so CPU time counts both. Bounds decode and encode the same msgpack on both ends. Runs take
turns on one core, after a warm-up, garbage collected before each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file: the package is its folder's

import msgpack

from benchmarks.link_sides import SUBMIT, Ends, Memory, asking, ends, framed, raw, run_id, sockets
from benchmarks.measure import ROOT, Row, Sample, check, interleave, machine, one_core, per, ratio, table, write_section
from graphs.journal import Journal
from graphs.records import Event as EventRecord, Result, Start, State
from protocol.events import DeltaSeen, Event
from protocol.journal_store import JournalStore

__all__ = ["FULL", "SMOKE", "Sizes", "main", "measure"]

_READING: Final = """\
CPU time of both ends together; `bound` is the same work without a link: one websockets message for each question and answer, or messages with their
length before them in a plain asyncio.Protocol. Records of the link are sequenced, checksummed, deduplicated and acknowledged, and kept in
memory where nothing else is said; a request is a record, its response another, each acknowledged. Latencies are of the time that passed."""

_TEXT: Final = "x" * 180
"""Makes a record of about 200 bytes."""

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    repeats: int
    requests: int = 1_000
    records: int = 10_000
    durable: int = 5_000
    streams: int = 64
    tokens: int = 100
    idle: int = 300
    runs: int = 100


FULL: Final = Sizes(repeats=7)
SMOKE: Final = Sizes(repeats=1, requests=20, records=100, durable=50, streams=4, tokens=5, idle=5, runs=5)


def measure(sizes: Sizes) -> Iterator[Row]:
    """All rows, one after the other as they are measured."""
    for rows in (_requests, _pipelined, _durable, _streams, _idle, _ray, _resume):
        yield from rows(sizes)


def _answer(message: bytes) -> bytes:
    """What the other end of a bound does: read, and say which it was."""
    return msgpack.packb([5, 1, msgpack.unpackb(message)[2]])  # type: ignore[no-any-return]


def _echo(message: bytes) -> bytes:
    return msgpack.packb(msgpack.unpackb(message))  # type: ignore[no-any-return]


def _message(number: int) -> bytes:
    return msgpack.packb([49, 1, number, "node", 1, 0, _TEXT, 5, {}])  # type: ignore[no-any-return]


async def _timed(work: Work) -> Sample:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    return Sample(time.process_time() - cpu, time.perf_counter() - wall)


# -- one question at a time


def _requests(sizes: Sizes) -> Iterator[Row]:
    count = sizes.requests

    async def ours() -> Sample:
        async with asking(Result("node", 1, 0, _TEXT, 5, {})) as ask:

            async def work() -> None:
                for number in range(1, count + 1):
                    await ask(number)

            return await _timed(work)

    async def bare() -> Sample:
        async with sockets(_echo) as socket:

            async def work() -> None:
                for number in range(count):
                    await socket.send(_message(number))
                    msgpack.unpackb(await socket.recv())

            return await _timed(work)

    mine, theirs = asyncio.run(interleave([ours, bare], sizes.repeats))
    share = ratio([each.cpu for each in theirs], [each.cpu for each in mine])
    yield Row(
        "request and response, one after the other",
        f"{per([each.cpu for each in mine], count):.0f} us CPU",
        f"{per([each.cpu for each in theirs], count):.0f} (websockets)",
        share,
        "x",
        0.85,
        at_least=True,
    )


# -- many at once


def _pipelined(sizes: Sizes) -> Iterator[Row]:
    count = sizes.records

    async def ours() -> Sample:
        async with ends(Memory(b"worker-1")) as both, both.device(Memory(b"device-1")) as (device, told, _, heard):
            run = run_id(1)
            device.append(run, SUBMIT)
            await told.until(lambda: told.acked.get(run, 0) == 1)
            sample = await _timed(lambda: _push(device, told, run, count))
            check("records at the worker", heard.got, count + 1)
            return sample

    async def bare() -> Sample:
        async with sockets(_answer) as socket:

            async def work() -> None:
                async def send() -> None:
                    for number in range(count):
                        await socket.send(_message(number))

                sending = asyncio.create_task(send())
                for _ in range(count):
                    msgpack.unpackb(await socket.recv())
                await sending

            return await _timed(work)

    async def plain() -> Sample:
        async with raw(_answer) as protocol:

            async def work() -> None:
                for start in range(0, count, 64):
                    for number in range(start, min(count, start + 64)):
                        protocol.transport.write(framed(_message(number)))
                    await asyncio.sleep(0)
                await protocol.until(count)

            return await _timed(work)

    mine, theirs, least = asyncio.run(interleave([ours, bare, plain], sizes.repeats))
    cpu = [[each.cpu for each in series] for series in (mine, theirs, least)]
    title, each = "pipelined acknowledged records", f"{per(cpu[0], count):.1f} us CPU"
    bound = f"{per(cpu[1], count):.1f} (websockets, one a record)"
    yield Row(f"{title}, as many as", each, bound, ratio(cpu[1], cpu[0]), "x", 3.5, at_least=True)
    yield Row(f"{title}, CPU against", each, f"{per(cpu[2], count):.1f} (raw protocol)", ratio(cpu[0], cpu[2]), "x", 2.0)


async def _push(device: Any, told: Any, run: bytes, count: int) -> None:
    """Append so many records, in bursts of 256, and wait until the last is acknowledged."""
    for start in range(0, count, 256):
        for number in range(start, min(count, start + 256)):
            device.append(run, Start(_TEXT, number))
        await asyncio.sleep(0)
    await told.until(lambda: told.acked.get(run, 0) == count + 1)


def _durable(sizes: Sizes) -> Iterator[Row]:
    count = sizes.durable

    async def ours() -> Sample:
        with ExitStack() as open_files:
            folder = Path(open_files.enter_context(tempfile.TemporaryDirectory()))
            journals = [open_files.enter_context(Journal.open(folder / f"{side}.db", synchronous="full")) for side in "dw"]
            for journal in journals:
                journal.put_graph(_EMPTY_HASH, _EMPTY)
            async with (
                ends(JournalStore(journals[1])) as both,
                both.device(JournalStore(journals[0])) as (device, told, _, heard),
            ):
                run = run_id(1)
                journals[0].create_run(run, role="child", graph_hash=_EMPTY_HASH, graph=_EMPTY, name="b", started=0)
                device.append(run, replace(SUBMIT, graph=_EMPTY_HASH))
                await told.until(lambda: told.acked.get(run, 0) == 1)
                sample = await _timed(lambda: _push(device, told, run, count))
                check("records at the worker", heard.got, count + 1)
                return sample

    (series,) = asyncio.run(interleave([ours], sizes.repeats))
    rate = count / statistics.median(each.wall for each in series)
    cpu = f"{per([each.cpu for each in series], count):.1f} us CPU"
    yield Row("records durable at both ends (FULL), 256 a burst", cpu, "-", rate, "records/s", 5_000, at_least=True)


def _empty() -> tuple[bytes, bytes]:
    from graphs.language.spec import Graph

    graph = Graph({"version": 0.5, "nodes": {}})
    return graph.canonical, graph.hash


_EMPTY, _EMPTY_HASH = _empty()


# -- streams


def _streams(sizes: Sizes) -> Iterator[Row]:
    late: list[float] = []

    async def ours() -> Sample:
        async with ends(Memory(b"worker-1")) as both, both.device(Memory(b"device-1")) as (device, told, worker, _):
            runs = [run_id(1 + number) for number in range(sizes.streams)]
            for run in runs:
                device.append(run, SUBMIT)
            await told.until(lambda: all(told.acked.get(run, 0) == 1 for run in runs))
            for run in runs:
                worker.append(run, EventRecord("final", 1, State.EXECUTING, 5, {"retry": 0}))
            await told.until(lambda: told.got == len(runs))
            seen = 0

            def note(event: Event) -> None:
                nonlocal seen
                if isinstance(event, DeltaSeen):
                    now = time.perf_counter()
                    seen += event.n
                    late.extend(now - float(token) for token in event.tokens)

            told.on_event = note

            async def stream(run: bytes, begin: float) -> None:
                for number in range(sizes.tokens):
                    await asyncio.sleep(max(0.0, begin + number / 50 - time.perf_counter()))
                    worker.delta(run, 1, [repr(time.perf_counter())])

            async def work() -> None:
                now = time.perf_counter()
                starts = [now + index / sizes.streams / 50 for index in range(len(runs))]
                await asyncio.gather(*(stream(run, start) for run, start in zip(runs, starts, strict=True)))
                await told.until(lambda: seen == len(runs) * sizes.tokens)

            return await _timed(work)

    async def pacing() -> Sample:
        """The same without a link: what the clock and the sleeping tasks cost."""

        async def stream(begin: float) -> None:
            for number in range(sizes.tokens):
                await asyncio.sleep(max(0.0, begin + number / 50 - time.perf_counter()))
                float(repr(time.perf_counter()))

        async def work() -> None:
            now = time.perf_counter()
            await asyncio.gather(*(stream(now + index / sizes.streams / 50) for index in range(sizes.streams)))

        return await _timed(work)

    mine, idle = asyncio.run(interleave([ours, pacing], sizes.repeats))
    count = sizes.streams * sizes.tokens
    each, least = (per([sample.cpu for sample in series], count) for series in (mine, idle))
    title = f"{sizes.streams} streams x 50 tokens/s"
    yield Row(title, f"{each:.1f} us CPU/token", f"{least:.1f} (the pacing alone, taken off)", each - least, "us", 25)
    late.sort()
    p50, p95 = (late[int(len(late) * share)] * 1000 for share in (0.5, 0.95))
    yield Row(f"{title}, 95 % arrive within", f"{p50:.1f} ms for half", "-", p95, "ms", 15)


# -- connections


def _idle(sizes: Sizes) -> Iterator[Row]:
    async def ours() -> float:
        async with ends(Memory(b"worker-1")) as both:
            await _connections(both, 5, 0)
            gc.collect()
            before = _resident()
            return (await _connections(both, sizes.idle, 1) - before) / sizes.idle

    kib = asyncio.run(ours()) / 1024
    yield Row("an idle connection, half of both ends", f"{kib:.1f} KiB both", "-", kib / 2, "KiB", 20)


async def _connections(both: Ends, count: int, series: int) -> float:
    """Bytes of this process while so many devices are connected."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        for number in range(count):
            device = series.to_bytes(8, "big") + number.to_bytes(8, "big")
            await stack.enter_async_context(both.device(Memory(b"device-1"), device))
        gc.collect()
        return _resident()


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _ray(sizes: Sizes) -> Iterator[Row]:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        print("Ray is not installed: its actor calls are not compared with (pip install ray)", file=sys.stderr)
        return
    mine = asyncio.run(_calls(sizes.requests))  # before: what it starts is not all gone soon, and works on beside us
    try:
        ray.init(num_cpus=1, include_dashboard=False, logging_level="error")
    except Exception as error:  # noqa: BLE001 - it raises that itself, if its processes do not come up in time
        print(f"Ray does not start: its actor calls are not compared with ({error})", file=sys.stderr)
        return

    @ray.remote
    class Echo:
        def say(self, message: bytes) -> bytes:
            return message

    actor: Any = Echo
    echo = actor.remote()
    ray.get(echo.say.remote(b"x"))
    began = time.perf_counter()
    for number in range(sizes.requests):
        ray.get(echo.say.remote(_message(number)))
    theirs = sizes.requests / (time.perf_counter() - began)
    ray.shutdown()
    yield Row(
        "calls one after the other, against Ray",
        f"{mine:,.0f}/s",
        f"{theirs:,.0f}/s (Ray actor)",
        mine / theirs,
        "x",
        4.0,
        at_least=True,
    )


async def _calls(count: int) -> float:
    async with asking(Result("node", 1, 0, _TEXT, 5, {})) as ask:
        began = time.perf_counter()
        for number in range(1, count + 1):
            await ask(number)
        return count / (time.perf_counter() - began)


# -- resume


def _resume(sizes: Sizes) -> Iterator[Row]:
    async def ours() -> Sample:
        device_store = Memory(b"device-1")
        runs = [run_id(1 + number) for number in range(sizes.runs)]
        async with ends(Memory(b"worker-1")) as both:
            async with both.device(device_store) as (device, told, worker, _):
                for run in runs:
                    device.append(run, SUBMIT)
                await told.until(lambda: all(told.acked.get(run, 0) == 1 for run in runs))
            for run in runs:
                for number in range(10):
                    worker.append(run, Result(f"n{number}", 1, 0, _TEXT, 5, {}))
            await worker.durable()

            async def work() -> None:
                async with both.device(device_store) as (_, told, __, ___):
                    await told.until(lambda: told.got == 10 * len(runs))

            return await _timed(work)

    (series,) = asyncio.run(interleave([ours], sizes.repeats))
    passed = statistics.median(each.wall for each in series) * 1000
    cpu = statistics.median(each.cpu for each in series) * 1000
    yield Row(f"resume of {sizes.runs} runs x 10 records, connecting included", f"{passed:.0f} ms passed", "-", cpu, "ms CPU", 50)


# -- the command


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once: shows that it works, measures nothing")
    parser.add_argument("--repeats", type=int, metavar="N", help=f"rounds of each ({FULL.repeats})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as data")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    sizes = SMOKE if options.smoke else FULL
    if options.repeats:
        sizes = replace(sizes, repeats=options.repeats)
    where = machine()
    rows = []
    with one_core():
        for row in measure(sizes):
            rows.append(replace(row, must=None, stretch=None) if options.smoke else row)
            print("  ".join(rows[-1].cells()), file=sys.stderr)
    print(table(rows), end="\n\n")
    if options.smoke:
        print("Sizes as small as these say nothing about speed.")
    if options.json:
        options.json.write_text(json.dumps({"machine": where, "rows": [row.plain() for row in rows]}, indent=1) + "\n")
    if options.write:
        command = "python -m benchmarks.link" + (f" --repeats {options.repeats}" if options.repeats else "")
        text = f"## Link\n\n`{command} --write`, {time.strftime('%Y-%m-%d')}, on {where}\n\n{table(rows)}\n\n{_READING}"
        write_section(ROOT / "benchmarks" / "RESULTS.md", "link", text)


if __name__ == "__main__":
    main()
