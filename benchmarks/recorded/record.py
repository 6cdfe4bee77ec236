"""Records what real runs take: each graph here and at a worker, both with the real small model, and the rows that the journal notes of them.

    python -m benchmarks.recorded.record        writes runs.json beside this file

A device and a worker in this process, a model host each, a real link between them. Each graph runs so often at each place; the first run of a model
is left out, for it loads it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import machine
from cloud.server import WorkerServer
from cloud.worker import Worker
from edge.ferrying.connecting import connect_worker
from edge.means import Device, RunOptions
from edge.planning.estimates import Estimates
from edge.planning.keeping import Estimating
from edge.planning.links import link_facts
from edge.runs.runner import run_graph
from graphs.agents import standard
from graphs.environment import Environment
from graphs.journal import Journal
from graphs.language.load import load_text
from graphs.language.spec import Graph, is_computed
from graphs.models.files.store import DEFAULT_MODEL, ModelStore
from graphs.models.hosting.host import ModelHost
from graphs.models.together import Aliased

__all__ = ["FILE", "GRAPHS", "main"]

FILE: Final = Path(__file__).with_name("runs.json")
_RUNS: Final = 2

GRAPHS: Final = {
    "letter": """\
version: 0.5
nodes:
  letter: {value: "The parcel arrived with a broken corner. I would like a replacement, not a refund. Please answer by Friday."}
  gist: {agent: llmAgent, model: small, params: {max_tokens: 24}, inputs: {prompt: "What does the writer want? ${:letter}"}}
  mood: {agent: llmAgent, model: small, params: {max_tokens: 8}, inputs: {prompt: "Is this friendly? One word. ${:letter}"}}
  answer: {agent: llmAgent, model: small, params: {max_tokens: 48}, inputs: {prompt: "Answer (${:mood.text}): ${:gist.text}"}}
  check: {agent: llmAgent, model: small, isResult: true, params: {max_tokens: 12}, inputs: {prompt: "Is this polite? ${:answer.text}"}}
""",
    "wide": """\
version: 0.5
nodes:
  topic: {value: the harbour at night}
  one: {agent: llmAgent, model: small, params: {max_tokens: 40}, inputs: {prompt: "A sentence about the boats of ${:topic}"}}
  two: {agent: llmAgent, model: small, params: {max_tokens: 40}, inputs: {prompt: "A sentence about the lights of ${:topic}"}}
  three: {agent: llmAgent, model: small, params: {max_tokens: 40}, inputs: {prompt: "A sentence about the people of ${:topic}"}}
  four: {agent: llmAgent, model: small, params: {max_tokens: 40}, inputs: {prompt: "A sentence about the water of ${:topic}"}}
  five: {agent: llmAgent, model: small, params: {max_tokens: 40}, inputs: {prompt: "A sentence about the wind of ${:topic}"}}
  six: {agent: llmAgent, model: small, params: {max_tokens: 40}, inputs: {prompt: "A sentence about the sounds of ${:topic}"}}
  all:
    agent: llmAgent
    model: small
    isResult: true
    params: {max_tokens: 60}
    inputs: {prompt: "Put together: ${:one.text} ${:two.text} ${:three.text} ${:four.text} ${:five.text} ${:six.text}"}
""",
    "map": """\
version: 0.5
nodes:
  rows: {value: [the tide, the boats, the nets, the gulls, the lamps, the rain]}
  plan: {agent: llmAgent, model: small, params: {max_tokens: 24}, inputs: {prompt: "In which tone does one write about a harbour?"}}
  each:
    agent: mapAgent
    params: {compositeResult: true}
    inputs: {rows: :rows, tone: :plan.text}
    graph:
      nodes:
        note: {agent: llmAgent, model: small, params: {max_tokens: 32}, inputs: {prompt: "A sentence about ${:row}. ${:tone}"}}
        title: {agent: llmAgent, model: small, isResult: true, params: {max_tokens: 8}, inputs: {prompt: "A title for this: ${:note.text}"}}
  last: {agent: llmAgent, model: small, isResult: true, params: {max_tokens: 40}, inputs: {prompt: "Put together: ${:each.title}"}}
""",
}


async def _record(folder: Path) -> dict[str, Any]:
    store = ModelStore(Environment.current().home("models"))
    tiers = {"small": DEFAULT_MODEL}
    with Journal.open(folder / "edge.db") as edge, Journal.open(folder / "cloud.db") as cloud:
        hosts = ModelHost(store), ModelHost(store)
        server = WorkerServer(Worker(cloud, standard(), hosts[1]))
        url = await server.start()

        async def connect(url: str, token: str | None, journal: Journal, runs: Sequence[bytes]) -> Any:
            return await connect_worker(url, token=token, journal=journal, runs=runs)

        device = Device(
            journal=edge,
            agents=standard(),
            models=Aliased(hosts[0], tiers),
            tiers=tiers,
            default_model=DEFAULT_MODEL,
            connect=connect,
        )
        found: dict[str, Any] = {}
        try:
            for name, text in GRAPHS.items():
                graph = Graph.of(load_text(text).data, set(device.agents))
                nodes = [each for each, spec in graph.nodes.items() if is_computed(spec)]
                for place in ("edge", "cloud"):
                    for number in range(_RUNS + 1):
                        if number == 0 and found:
                            continue  # the models are loaded
                        options = RunOptions(url=url, pinned=dict.fromkeys(nodes, place))
                        began = time.monotonic()
                        report = await run_graph(device, graph, options, name=name)
                        print(f"{name} at {place}: {report.status} in {time.monotonic() - began:.1f} s")
                await edge.barrier()
                found[name] = {"graph": json.loads(json.dumps(graph.document)), "rows": _rows(device, graph, url)}
        finally:
            await server.stop()
            for host in hosts:
                await host.close()
        way = link_facts(edge, url, time.time())
        assert way is not None
        link = {each: figure.value for each in ("rtt", "up", "down") if (figure := getattr(way, each)) is not None}
    return {"machine": machine(), "recorded": time.strftime("%Y-%m-%d"), "model": DEFAULT_MODEL, "link": link, "graphs": found}


def _rows(device: Device, graph: Graph, url: str) -> list[dict[str, Any]]:
    """What was noted of a graph's nodes, by their place in the document; "cloud" for the worker. The run that loaded the model is left out."""
    made: Estimates = Estimating(device)(graph, {}, url, {})
    names = {key: path for path, key in made.keys.items()}
    rows = list(device.journal.history(list(names)))
    first = min((row.run for row in rows), default=b"")
    kept = []
    for row in rows:
        if row.run == first and sum(each.run != first and each.what == row.what for each in rows) >= 2 * _RUNS:
            continue
        fields = row._asdict()
        fields.update(what=names[row.what], place="edge" if row.place == "edge" else "cloud", run=row.run.hex())
        kept.append(fields)
    return kept


def main() -> None:
    """Record, and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_record(Path(folder)))
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
