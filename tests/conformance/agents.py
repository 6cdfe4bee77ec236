"""The helper agents that the conformance cases name, and the gauges that count how many run at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from graphs.errors import NodeError
from graphs.registry import Agent, agent
from graphs.values import MISSING

__all__ = ["AGENTS", "GAUGES", "Gauge"]


@dataclass
class Gauge:
    """How many nodes of a gauge run now, ran at most, and in which order they started."""

    running: int = 0
    peak: int = 0
    order: list[Any] = field(default_factory=list)


GAUGES: dict[str, Gauge] = {}


@agent("throwAgent", effect="none")
def throw_agent(context: Any) -> Any:
    raise NodeError(context.params["message"])


@agent("flakyAgent", effect="none")
def flaky_agent(context: Any) -> Any:
    if context.retry < context.params["failures"]:
        raise NodeError(f"attempt {context.retry} failed")
    return {"attempt": context.retry, **context.inputs}


@agent("ripenAgent", effect="none")
def ripen_agent(context: Any) -> Any:
    if context.retry < context.params["after"]:
        return {"fruit": None}
    return {"fruit": context.params.get("fruit", "ripe"), "attempt": context.retry}


@agent("nothingAgent", effect="none")
def nothing_agent(_context: Any) -> Any:
    return MISSING


@agent("nullAgent", effect="none")
def null_agent(_context: Any) -> Any:
    return None


@agent("configAgent", effect="none")
def config_agent(context: Any) -> Any:
    return dict(context.config)


@agent("contextAgent", effect="none")
def context_agent(context: Any) -> Any:
    return {
        "params": context.params,
        "inputs": context.inputs,
        "nodeId": context.node_id,
        "retry": context.retry,
        "isResult": context.is_result,
    }


@agent("sleepOnceAgent", effect="none")
async def sleep_once_agent(context: Any) -> Any:
    await asyncio.sleep((context.params["later"] if context.retry else context.params["first"]) / 1000)
    return {"attempt": context.retry}


@agent("gaugeAgent", effect="none")
async def gauge_agent(context: Any) -> Any:
    params = context.params
    gauge = GAUGES.setdefault(params.get("gauge", "all"), Gauge())
    gauge.running += 1
    gauge.peak = max(gauge.peak, gauge.running)
    gauge.order.append(params.get("tag"))
    try:
        await asyncio.sleep(params.get("duration", 100) / 1000)
    finally:
        gauge.running -= 1
    return {**context.inputs, "tag": params.get("tag")}


AGENTS = [each for each in list(globals().values()) if isinstance(each, Agent)]
