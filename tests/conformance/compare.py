"""Compares what a runtime did with a conformance case. `actual` has the shape of a case's `expect`; error texts are whole."""

from __future__ import annotations

import copy
import math
from typing import Any

__all__ = ["problems"]


def problems(case: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """An empty list if the run agrees with the case, or with the case as we mean to differ from GraphAI."""
    first = _against(case["expect"], actual)
    if first and case.get("differs"):
        return _against(_overlay(case["expect"], case["differs"]["expect"]), actual)
    return first


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or math.isclose(a, b, rel_tol=1e-12)
    if isinstance(a, dict) and isinstance(b, dict):
        a, b = ({str(key): value for key, value in each.items()} for each in (a, b))
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


def _overlay(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _overlay(merged.get(key), value)
    return merged


def _against(expect: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    want, got = expect.get("error"), actual.get("error")
    if want and want["kind"] == "hang":
        return ["GraphAI hangs here, see differs"]
    if bool(want) != bool(got):
        return [f"error: expected {want}, got {got}"]
    bad = []
    if want and got:
        if want["kind"] != got["kind"] or want["message_contains"] not in got["message"]:
            bad.append(f"error: expected {want}, got {got}")
        if want.get("node") and want["node"] != got.get("node"):
            bad.append(f"error: expected node {want['node']}, got {got.get('node')}")
        if want["kind"] == "validation":
            return bad
    for key in ("results", "retries", "runs", "gauge", "stream"):
        if key in ("runs", "gauge", "stream") and key not in expect:
            continue
        mine = actual.get(key) or {}
        if key == "gauge":  # `observe: [peak]` asks for no order
            mine = {
                name: {part: value for part, value in gauge.items() if part in expect["gauge"].get(name, {})}
                for name, gauge in mine.items()
            }
        if not _same(expect.get(key) or {}, mine):
            bad.append(f"{key}: expected {expect.get(key)}, got {actual.get(key)}")
    return bad + [
        f"{key}: expected {expect.get(key)}, got {actual.get(key)}"
        for key in ("is_result", "skipped", "never_ready")
        if set(expect.get(key) or []) != set(actual.get(key) or [])
    ]
