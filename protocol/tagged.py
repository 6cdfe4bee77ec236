"""Tagged JSON: any value of the link as JSON that loses nothing (docs/protocol.md §21).

Bytes are {"$bin": hex}, floats that are whole or not finite {"$f": text}, integers beyond 2^53 {"$u": text}, extensions {"$ext": [code, hex]}. A map
with a key that begins with $, or that JavaScript would put in another order (digits only), is {"$map": [[key, value], ...]}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgpack

from graphs.values import EXT_UNDEFINED, MISSING, Value

__all__ = ["tag", "untag"]

_EXACT = 2**53 - 1


def tag(value: Value) -> Any:
    """The value as tagged JSON."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, msgpack.ExtType):
        return {"$ext": [value.code, value.data.hex()]}
    if value is MISSING:
        return {"$ext": [EXT_UNDEFINED, ""]}
    if isinstance(value, float) and (not math.isfinite(value) or value == int(value)):
        return {"$f": repr(value)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return {"$u": str(value)}
    if isinstance(value, Mapping):
        if any(key.startswith("$") or key.isdigit() for key in value):
            return {"$map": [[key, tag(item)] for key, item in value.items()]}
        return {key: tag(item) for key, item in value.items()}
    return [tag(item) for item in value] if isinstance(value, (list, tuple)) else value


def untag(value: Any) -> Value:
    """The value of tagged JSON. `{"$undef": 1}` is undefined, too."""
    if isinstance(value, list):
        return [untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("$bin", text)]:
            return bytes.fromhex(text)
        case [("$ext", [code, text])]:
            return msgpack.ExtType(code, bytes.fromhex(text))
        case [("$undef", _)]:
            return msgpack.ExtType(EXT_UNDEFINED, b"")
        case [("$f" | "$u" as kind, text)]:
            return float(text) if kind == "$f" else int(text)
        case [("$map", pairs)]:
            return {key: untag(item) for key, item in pairs}
    return {key: untag(item) for key, item in value.items()}
