"""What a cut costs in round trips: graphs between a device and a worker that are some milliseconds apart.

The link goes through a proxy that holds every byte back for half a round trip in each direction. Each row is the difference
between a long and a short graph of a kind, so connecting and closing cancel out; divided by the round trip it is how many of
them each further node or turn costs. How long a round trip is, is measured, too: a byte that is sent back at once, through the same
proxy, takes somewhat longer than was asked of it. Repeats of all kinds alternate, for other work runs on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

if __package__ in (None, ""):  # run as a file
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import ROOT, Row, WrongAnswer, machine, table, write_section
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.runs.runner import run_graph
from graphs.agents import standard
from graphs.journal import Journal
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModels

MORE: Final = 8
"""How many more nodes or turns the long graph has."""


def chain(length: int) -> dict[str, Any]:
    """Nodes at the worker, each reading the one before."""
    nodes: dict[str, Any] = {"n0": {"value": "x"}}
    for number in range(1, length + 2):
        nodes[f"n{number}"] = {
            "agent": "copyAgent",
            "place": "cloud",
            "params": {"namedKey": "v"},
            "inputs": {"v": f":n{number - 1}"},
        }
    nodes[f"n{length + 1}"]["isResult"] = True
    return {"version": 0.5, "nodes": nodes}


def zigzag(length: int) -> dict[str, Any]:
    """The same, every second one on the device."""
    graph = chain(2 * length)
    for number, spec in enumerate(graph["nodes"].values()):
        if "agent" in spec and number % 2:
            spec["place"] = "edge"
    return graph


def whole_loop(turns: int) -> dict[str, Any]:
    """A loop whose nodes are all at the worker."""
    return _loop(turns, first="cloud")


def split_loop(turns: int) -> dict[str, Any]:
    """A loop with one node on the device and one at the worker."""
    return _loop(turns, first="edge")


def _loop(turns: int, *, first: str) -> dict[str, Any]:
    copy = {"agent": "copyAgent", "params": {"namedKey": "v"}}
    return {
        "version": 0.5,
        "loop": {"count": turns + 1},
        "nodes": {
            "s": {"value": "x", "update": ":b"},
            "a": {**copy, "place": first, "inputs": {"v": ":s"}},
            "b": {**copy, "place": "cloud", "inputs": {"v": ":a"}, "isResult": True},
        },
    }


KINDS: Final = (
    ("a further chained node at the worker", chain, 0.0, 0.2),
    ("a further pair of nodes, one here and one there", zigzag, 1.0, 1.3),
    ("a further turn of a loop that is whole at the worker", whole_loop, 0.0, 0.2),
    ("a further turn of a split loop", split_loop, 1.0, 1.3),
)
"""What is measured: its name, the graph of a length, the round trips it should cost, and how many it may."""


@asynccontextmanager
async def delayed(target: int, seconds: float) -> AsyncIterator[int]:
    """A port of this machine that leads to `target`, every byte `seconds` later; so a round trip takes twice that."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                loop.call_later(seconds, writer.write, data)
            await asyncio.sleep(seconds)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", target)
        for pair in ((reader, there_writer), (there_reader, writer)):
            tasks.add(loop.create_task(pump(*pair)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def round_trip(seconds: float, times: int = 9) -> float:
    """How long a byte takes there and back that way (seconds)."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1):
            writer.write(data)
        writer.close()

    took = []
    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        delayed(server.sockets[0].getsockname()[1], seconds / 2) as near,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", near)
        for _ in range(times):
            began = time.perf_counter()
            writer.write(b"x")
            await reader.readexactly(1)
            took.append(time.perf_counter() - began)
        writer.close()
    return statistics.median(took)


async def seconds_of(document: dict[str, Any], url: str, journal: Journal) -> float:
    """How long a run takes, connecting included. Raises WrongAnswer."""

    async def connect(where: str, token: str | None, of: Journal, runs: Sequence[bytes]) -> Any:
        return await connect_worker(where, token=token, journal=of, runs=runs)

    agents = standard()
    device = Device(journal=journal, agents=agents, models=ScriptedModels(), connect=connect)
    graph = Graph.of(document, set(agents))
    began = time.perf_counter()
    report = await run_graph(device, graph, RunOptions(url=url), name="cut")
    took = time.perf_counter() - began
    if list(report.results.values()) != ["x"]:
        raise WrongAnswer(f"{report.status}: {dict(report.results)}")
    return took


async def measure(delays: Sequence[float], repeats: int, more: int) -> list[Row]:
    """All kinds over all delays (seconds a round trip)."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Journal.open(home / "edge.db") as edge, Journal.open(home / "cloud.db") as cloud:
            server = WorkerServer(Worker(cloud, standard(), ScriptedModels()))
            port = int((await server.start()).split(":")[2].split("/")[0])
            try:
                for delay in delays:
                    real = await round_trip(delay)
                    differences: dict[str, list[float]] = {name: [] for name, *_ in KINDS}
                    async with delayed(port, delay / 2) as near:
                        url = f"ws://127.0.0.1:{near}/v1/link"
                        for _ in range(repeats):
                            for name, make, _, _ in KINDS:
                                short = await seconds_of(make(1), url, edge)
                                differences[name].append((await seconds_of(make(1 + more), url, edge) - short) / more)
                    for name, _, ideal, most in KINDS:
                        each = statistics.median(differences[name])
                        title = f"{name}, {delay * 1000:.0f} ms (really {real * 1000:.1f})"
                        rows.append(
                            Row(title, f"{each * 1000:.1f} ms", f"{ideal:.0f} (ideal)", each / real, "round trips", must=most)
                        )
            finally:
                await server.stop()
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cut", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true", help="one short delay, once: shows that it works, measures nothing")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="pairs of runs a row (3)")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    delays, repeats, more = ([0.005], 1, 2) if options.smoke else ([0.02, 0.08, 0.2], options.repeats, MORE)
    rows = asyncio.run(measure(delays, repeats, more))
    if options.smoke:  # delays as short as these are not what is judged
        rows = [replace(row, must=None) for row in rows]
    print(table(rows))
    if options.write:
        title = f"## Cuts\n\n`python -m benchmarks.cut --write`, {time.strftime('%Y-%m-%d')}, on {machine()}"
        reading = "Time that passed, not CPU: the difference between two lengths of a graph, in round trips for each further node, pair or turn."
        write_section(ROOT / "benchmarks" / "RESULTS.md", "cut", f"{title}\n\n{table(rows)}\n\n{reading}")


if __name__ == "__main__":
    main()
