"""A graph of two nodes, from its document to its result."""

from __future__ import annotations

import asyncio

from benchmarks.fresh.usage import tell
from graphs.engine.plan import Compiler
from graphs.language.spec import Graph
from graphs.registry import AgentContext, Registry, agent
from graphs.running.runtime import Runtime
from graphs.values import Value

DOCUMENT = {
    "version": 0.5,
    "nodes": {
        "first": {"agent": "add", "inputs": {"v": 0}},
        "second": {"agent": "add", "inputs": {"v": ":first"}, "isResult": True},
    },
}


@agent("add", effect="none", cheap=True)
async def add(context: AgentContext) -> Value:
    return context.inputs["v"] + 1


async def main() -> int:
    agents = Registry([add])
    compiler = Compiler(agents)
    runtime = Runtime(compiler.plan(Graph.of(DOCUMENT, agents)), compiler)
    await runtime.run()
    answer: int = runtime.engine.results(all=False)["second"]
    return answer


tell(asyncio.run(main()), 2)
