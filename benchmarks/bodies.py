"""What a body costs on its way: CPU of both sides together, hashing and both disks included, and memory, over a loopback socket.

    python -m benchmarks.bodies [--smoke] [--megabytes N] [--repeats N] [--write]

The bound is the same bytes in messages of 64 KiB through `websockets` alone, in the same process, with nothing hashed or kept.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a file
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import ROOT, Row, WrongAnswer, machine, one_core, table, write_section
from graphs.journal import Journal
from protocol.config import Config, Role
from protocol.journal_store import JournalStore
from protocol.payload import Reference
from protocol.session import Conn
from protocol.transport import PATH, Link, accept, connect, listen

RUN = bytes(16)
BLOCK = os.urandom(1 << 20)


def peak() -> float:
    """MiB this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make(folder: Path, size: int) -> bytes:
    """A file of that many bytes under its hash, which it gives."""
    folder.mkdir(parents=True, exist_ok=True)
    hashed, left = hashlib.sha256(), size
    with (folder / "fresh").open("wb") as file:
        while left:
            piece = BLOCK[: min(left, len(BLOCK))]
            file.write(piece)
            hashed.update(piece)
            left -= len(piece)
    (folder / "fresh").rename(folder / hashed.hexdigest())
    return hashed.digest()


async def pulled(size: int) -> tuple[float, float]:
    """CPU seconds of pulling a body of that size, and MiB the process grew."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Journal.open(home / "edge.db") as edge, Journal.open(home / "cloud.db") as cloud:
            ref = make(cloud.body_files.folder / "d", size)
            for journal in (edge, cloud):
                journal.create_run(RUN, role="child", graph_hash=bytes(32), name="x", started=1)
            cloud.pin_body(RUN, "d", ref, size, own=True)
            cloud.flush()
            edge.flush()
            return await _over_a_socket(edge, cloud, Reference(ref, size))


async def _over_a_socket(edge: Journal, cloud: Journal, named: Reference) -> tuple[float, float]:
    store = JournalStore(cloud, "d")

    async def serve(socket: Any) -> None:
        came = await accept(socket)
        if came is not None:
            link = Link(Conn(Config(Role.WORKER, "d", came[1].device), await store.find(())), store, lambda _event: None)
            await link.carry(socket, came[1].conn, came[0])

    server = await listen(serve, host="127.0.0.1", port=0, token=None)
    url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{PATH}"
    async with connect(url, Config(Role.DEVICE, "w"), JournalStore(edge), lambda _event: None) as (link, _):
        memory, began = peak(), time.process_time()
        await link.bodies.pull(RUN, named)
        took, grown = time.process_time() - began, peak() - memory
    server.close()
    await server.wait_closed()
    if edge.body_files.held("own", named.ref) != (named.size, True):
        raise WrongAnswer(f"{edge.body_files.held('own', named.ref)} of {named.size} bytes arrived")
    return took, grown


async def bare(size: int) -> float:
    """CPU seconds of the same bytes through `websockets`."""
    from websockets.asyncio.client import connect as open_socket
    from websockets.asyncio.server import serve

    piece = BLOCK[: 64 * 1024]
    count = max(1, size // len(piece))

    async def send(socket: Any) -> None:
        for _ in range(count):
            await socket.send(piece)
        await socket.wait_closed()

    options: dict[str, Any] = {"compression": None, "ping_interval": None}
    async with serve(send, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        began = time.process_time()
        async with open_socket(f"ws://127.0.0.1:{port}", proxy=None, **options) as socket:
            for _ in range(count):
                await socket.recv(decode=None)
            return time.process_time() - began


async def measure(megabytes: int, large: int, repeats: int) -> list[Row]:
    """CPU of bodies of `megabytes`, and the memory that one of `large` takes."""
    size = megabytes * 1_000_000
    ours, bound = [], []
    for _ in range(repeats):
        ours.append((await pulled(size))[0] / megabytes * 100_000)
        bound.append(await bare(size) / megabytes * 100_000)
    each = statistics.median(ours)
    _, grown = await pulled(large * (1 << 20))
    return [
        Row(
            f"{megabytes} MB body: CPU of both sides for each 100 MB",
            f"{each:.0f} ms (least {min(ours):.0f})",
            f"{statistics.median(bound):.0f}",
            each,
            "ms",
            must=350,
        ),
        Row(f"{large} MiB body: growth of the process that has both sides", f"{grown:.1f} MiB", "-", grown, "MiB", must=32),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true", help="small bodies, once: shows that it works, measures nothing")
    parser.add_argument("--megabytes", type=int, default=100, metavar="N", help="size of the bodies whose CPU is measured (100)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="how often (5)")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    sizes = (4, 4, 1) if options.smoke else (options.megabytes, 1024, options.repeats)
    with one_core():
        rows = asyncio.run(measure(*sizes))
    if options.smoke:
        rows = [replace(row, must=None) for row in rows]
    print(table(rows))
    if options.write:
        title = f"## Bodies\n\n`python -m benchmarks.bodies --write`, {time.strftime('%Y-%m-%d')}, on {machine()}"
        reading = "A value too large for a record, from one journal's folder to the other's: read, sent, received, written, hashed, synced."
        write_section(ROOT / "benchmarks" / "RESULTS.md", "bodies", f"{title}\n\n{table(rows)}\n\n{reading}")


if __name__ == "__main__":
    main()
