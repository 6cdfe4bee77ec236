"""Records as JSON that people can read, and back."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import msgpack

from graphs.records import RECORDS, Record, Unknown
from graphs.values import MISSING, Value

__all__ = ["record_from_json", "record_to_json", "value_from_json", "value_to_json"]


def record_to_json(record: Record) -> dict[str, Any]:
    if isinstance(record, Unknown):
        return {"record": "Unknown", "type": record.type, "tail": record.tail.hex()}
    return {
        "record": type(record).__name__,
        **{field.name: value_to_json(getattr(record, field.name)) for field in fields(record)},
    }


def record_from_json(data: dict[str, Any]) -> Record:
    if data["record"] == "Unknown":
        return Unknown(data["type"], bytes.fromhex(data["tail"]))
    kinds = {kind.__name__: kind for kind in RECORDS.values()}
    values = {name: value_from_json(value) for name, value in data.items() if name != "record"}
    return kinds[data["record"]](**values)  # type: ignore[no-any-return]


def value_to_json(value: Value) -> Any:
    if value is MISSING:
        return {"$undef": 1}
    if isinstance(value, msgpack.ExtType):
        return {"$ext": [value.code, value.data.hex()]}
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$f": repr(value)}
    if isinstance(value, dict):
        return {key: value_to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [value_to_json(item) for item in value]
    return value


def value_from_json(data: Any) -> Value:
    if isinstance(data, list):
        return [value_from_json(item) for item in data]
    if not isinstance(data, dict):
        return data
    match data:
        case {"$undef": 1}:
            return MISSING
        case {"$ext": [code, digits]}:
            return msgpack.ExtType(code, bytes.fromhex(digits))
        case {"$bin": digits}:
            return bytes.fromhex(digits)
        case {"$f": text}:
            return float(text)
    return {key: value_from_json(item) for key, item in data.items()}
