"""Checking `escalate` and `hedge`: who is asked a second time, and when (graphs.language.cascade)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from graphs.language.fields import PLACES, word_for
from graphs.language.marks import Path
from graphs.language.report import Report
from graphs.values import Value

__all__ = ["MEASURES", "check_cascade", "milliseconds"]

MEASURES: Final = ("mean", "minimum", "margin", "agreement")
"""What an answer's confidence can be measured by (graphs.agents.cascade)."""

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {"escalate": ("below", "by", "samples", "to"), "hedge": ("after", "to")}
_TARGET: Final = ("model", "params", "place")
_NOT_ASKED: Final = ("nestedAgent", "mapAgent", "humanAgent", "toolLoopAgent")
_MOST_SAMPLES: Final = 64
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNITS: Final = {"ms": 1.0, "s": 1000.0, "m": 60_000.0}


def milliseconds(said: Value) -> float | None:
    """A duration in a graph: a number of milliseconds, as `timeout` is one, or text such as `2s`, `500ms`, `1m`; None for anything else."""
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return float(said) if said >= 0 else None
    match = _DURATION.fullmatch(said) if isinstance(said, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else None


def check_cascade(key: str, node: Mapping[str, Value], path: Path, report: Report) -> None:
    """What `escalate` or `hedge` says at a node; `path` is the node's."""
    said, here = node[key], (*path, key)
    if not isinstance(said, dict):
        return  # null is nothing; any other type is reported as such
    parts = _PARTS[key]
    for part in said:
        if part not in parts:
            words = f"{', '.join(parts[:-1])} and {parts[-1]}"
            hint = report.did_you_mean(part, parts)
            report.error("GF124", f"`{key}` has {words}, no {part}", (*here, part), key=True, suggestion=hint)
    _node(key, node, here, report)
    if key == "escalate":
        _escalate(said, here, report)
    elif milliseconds(said.get("after")) is None:
        at = (*here, "after") if "after" in said else here
        message = (
            f"`after` is how long the first may take before the second is asked: 2s, 500ms, not {word_for(said.get('after'))}"
        )
        report.error("GF124", message, at)
    _target(key, said.get("to"), (*here, "to"), report)


def _node(key: str, node: Mapping[str, Value], here: Path, report: Report) -> None:
    agent, inputs = node.get("agent"), node.get("inputs")
    if isinstance(agent, str) and (agent.startswith(":") or agent in _NOT_ASKED):
        what = "whose agent is named by a value" if agent.startswith(":") else f"of {agent}"
        report.error(
            "GF124", f"a node {what} cannot be asked twice: `{key}` is for nodes that ask a language model", here, key=True
        )
    if isinstance(inputs, dict) and "params" in inputs:
        report.error("GF124", f"`{key}` needs the params written out: this node has them from its inputs", here, key=True)
    if key == "hedge" and node.get("escalate") is not None:
        message = "a node either escalates or hedges"
        report.error("GF124", message, here, key=True, suggestion="put one of them around the other with nestedAgent")
    if key == "hedge" and node.get("effect") == "once":
        report.error("GF124", "what has an effect once cannot be raced: both might have it", here, key=True)


def _escalate(said: Mapping[str, Value], here: Path, report: Report) -> None:
    below, by, samples = said.get("below"), said.get("by"), said.get("samples")
    if below is not None and not (_is_number(below) and 0 <= below <= 1):
        message = f"`below` is the confidence from 0 to 1 under which the second model is asked, not {word_for(below)}"
        report.error("GF124", message, (*here, "below"), suggestion="leave it out and let `graphferry calibrate` find it")
    if by is not None and by not in MEASURES:
        hint = report.did_you_mean(by, MEASURES) if isinstance(by, str) else None
        report.error(
            "GF124", f"`by` is {', '.join(MEASURES[:-1])} or {MEASURES[-1]}, not {word_for(by)}", (*here, "by"), suggestion=hint
        )
    if samples is not None and not (_is_number(samples) and samples == samples // 1 and 2 <= samples <= _MOST_SAMPLES):
        report.error(
            "GF124", f"`samples` is a whole number from 2 to {_MOST_SAMPLES}, not {word_for(samples)}", (*here, "samples")
        )
    if samples is not None and by not in (None, "agreement"):
        report.error("GF124", f"`samples` is for `by: agreement`; by {by} one answer is enough", (*here, "samples"), key=True)


def _target(key: str, to: Value, here: Path, report: Report) -> None:
    if to is None or (isinstance(to, str) and to and not to.startswith(":")):
        return
    if not isinstance(to, dict):
        report.error("GF124", f"`to` of `{key}` is a model's name, or {{model, params, place}}, not {word_for(to)}", here)
        return
    for part, value in to.items():
        at = (*here, part)
        if part not in _TARGET:
            hint = report.did_you_mean(part, _TARGET)
            report.error("GF124", f"`to` has model, params and place, no {part}", at, key=True, suggestion=hint)
        elif part == "params" and not isinstance(value, dict):
            report.error("GF124", f"`params` is a map, not {word_for(value)}", at)
        elif part == "model" and (not isinstance(value, str) or value.startswith(":")):
            report.error("GF124", f"`model` is a tier or a model's name, not {word_for(value)}", at)
        elif part == "place" and value not in PLACES:
            report.error("GF124", f"`place` is edge, cloud or auto, not {word_for(value)}", at)


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
