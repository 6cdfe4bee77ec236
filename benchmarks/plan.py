"""How near a plan is to what comes of it, and what it costs to make one.

Random graphs of twelve nodes that each work for some time, here and at a worker, with values of some kilobytes, over a link that is some
milliseconds long. Each is run several times: the first plan has nothing to go by, the second what the first run took. The plan is the one
that is kept with the run; what it says the run takes is put beside what it took.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

if __package__ in (None, ""):  # run as a file
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.cut import delayed
from benchmarks.measure import ROOT, Row, WrongAnswer, machine, table, write_section
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.placement import place_nodes
from edge.placing.facts import Facts
from edge.planning.keeping import Estimating, kept_plan
from edge.planning.plan import make_plan
from edge.runs.runner import run_graph
from graphs.agents import standard
from graphs.journal import Journal
from graphs.journal.ids import parse_run_id
from graphs.language.spec import Graph
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.registry import agent

NODES: Final = 12
RUNS: Final = 3
_SEED: Final = 8


@agent("workAgent", effect="none")
async def work(context: Any) -> Any:
    """Works for `seconds` and gives `bytes` bytes."""
    await asyncio.sleep(context.params["seconds"])
    return "x" * context.params["bytes"]


def layered(chance: random.Random, scale: float) -> dict[str, Any]:
    """A random graph; `scale` is about how long its nodes work, in seconds."""
    nodes: dict[str, Any] = {}
    for number in range(NODES):
        sources = chance.sample(range(number), min(number, chance.randint(0, 3)))
        nodes[f"n{number}"] = {
            "agent": "workAgent",
            "place": chance.choice(["edge", "cloud"]),
            "params": {"seconds": scale * chance.uniform(0.2, 2.0), "bytes": chance.randint(100, 20_000)},
            "inputs": {f"i{source}": f":n{source}" for source in sources},
        }
    ends = {f"i{number}": f":n{number}" for number in range(NODES)}
    nodes["end"] = {"agent": "copyAgent", "isResult": True, "place": "edge", "inputs": ends}
    return {"version": 0.5, "nodes": nodes}


async def ratios(document: dict[str, Any], url: str, journal: Journal) -> list[float]:
    """Seconds planned by seconds taken, run by run. Raises WrongAnswer."""

    async def connect(where: str, token: str | None, of: Journal, runs: Sequence[bytes]) -> Any:
        return await connect_worker(where, token=token, journal=of, runs=runs)

    agents = standard().with_agents([work])
    device = Device(journal=journal, agents=agents, models=ScriptedModels(), connect=connect)
    graph = Graph.of(document, set(agents))
    found = []
    for _ in range(RUNS):
        report = await run_graph(device, graph, RunOptions(url=url), name="plan")
        wanted = {f"i{number}": document["nodes"][f"n{number}"]["params"]["bytes"] for number in range(NODES)}
        if {key: len(value) for key, value in report.results.get("end", {}).items()} != wanted:
            raise WrongAnswer(f"{report.status}: {report.errors}")
        await journal.barrier()
        run = parse_run_id(report.run)
        plan, row = kept_plan(journal, run), journal.run(run)
        if plan is None or row.ended is None:
            raise WrongAnswer("the run has no plan, or no end")
        found.append(plan["total"]["seconds"] / ((row.ended - row.started) / 1000))
    return found


async def measure(graphs: int, scale: float, delay: float) -> list[Row]:
    """How near plans are."""
    chance = random.Random(_SEED)
    taken: list[list[float]] = [[] for _ in range(RUNS)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Journal.open(home / "edge.db") as edge, Journal.open(home / "cloud.db") as cloud:
            server = WorkerServer(Worker(cloud, standard().with_agents([work]), ScriptedModels()))
            port = int((await server.start()).split(":")[2].split("/")[0])
            try:
                async with delayed(port, delay / 2) as near:
                    for _ in range(graphs):
                        found = await ratios(layered(chance, scale), f"ws://127.0.0.1:{near}/v1/link", edge)
                        for each, ratio in zip(taken, found, strict=True):
                            each.append(ratio)
            finally:
                await server.stop()
    rows = []
    for number, each in enumerate(taken, 1):
        off = statistics.median(abs(ratio - 1) for ratio in each)
        spread = f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
        title = f"plan of the {('first', 'second', 'third')[number - 1]} run of a graph: off by, median of {len(each)}"
        rows.append(Row(title, spread, "1.00", off * 100, "%", must=None if number == 1 else 20.0))
    return rows


def cost(count: int, repeats: int) -> Row:
    """CPU time of a plan of so many nodes that ask a model, with nothing known of them."""
    nodes = {f"n{number}": {"agent": "llmAgent", "model": "m", "inputs": {"prompt": f"say {number}"}} for number in range(count)}
    graph = Graph({"version": 0.5, "nodes": nodes})
    took = []
    with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / "edge.db") as journal:
        device = Device(journal=journal, agents=standard(), models=ScriptedModels([ScriptedModel("m")]), default_model="m")
        facts = Facts(device.agents, ["m"], default_model="m")
        placed = place_nodes(graph, facts)
        for _ in range(repeats):
            began = time.process_time()
            plan = make_plan(graph, placed, facts, Estimating(device)(graph, {}, None, {}))
            took.append(time.process_time() - began)
            if len(plan.nodes) != count:
                raise WrongAnswer(f"a plan of {len(plan.nodes)} nodes")
    each = statistics.median(took)
    return Row(f"a plan of {count:,} nodes: CPU", f"{each * 1000:.1f} ms", "-", each / count * 1e6, "us a node", must=200.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--smoke", action="store_true", help="one graph that works for no time: shows that it works, measures nothing"
    )
    parser.add_argument("--graphs", type=int, default=20, metavar="N", help="random graphs (20)")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    graphs, scale, delay = (1, 0.002, 0.002) if options.smoke else (options.graphs, 0.1, 0.02)
    rows = [*asyncio.run(measure(graphs, scale, delay)), *(cost(count, 1 if options.smoke else 5) for count in (12, 1_000))]
    if options.smoke:  # work as short as this is not what is judged
        rows = [replace(row, must=None) for row in rows]
    print(table(rows))
    if options.write:
        title = f"## Plans\n\n`python -m benchmarks.plan --write`, {time.strftime('%Y-%m-%d')}, on {machine()}"
        reading = (
            "The second column is seconds planned by seconds taken, median and range; nodes work for 20 to 200 ms, the link is"
            f" 20 ms there and back, seed {_SEED}. The first plan knows neither the nodes nor the link."
        )
        write_section(ROOT / "benchmarks" / "RESULTS.md", "plan", f"{title}\n\n{table(rows)}\n\n{reading}")


if __name__ == "__main__":
    main()
