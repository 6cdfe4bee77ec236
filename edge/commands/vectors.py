"""`graphferry vectors`: print the link's test vectors, or check them against this version."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from graphs.environment import Environment, ExitStatus
from graphs.errors import GraphferryError, UsageError, why_failed

__all__ = ["KINDS", "add_arguments", "main", "problem", "recorded"]

KINDS: Final = ("codec", "graph", "session")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--kind", choices=KINDS, help="only these (default: all)")
    parser.add_argument("--check", action="store_true", help="compare them with what this version does")
    parser.add_argument(
        "--file", metavar="FILE", help="other vectors than those that came with this version, one JSON object a line"
    )


def main(args: Namespace, env: Environment) -> int:
    kinds = (args.kind,) if args.kind else KINDS
    chosen = [each for each in _all(args, env) if each["kind"] in kinds]
    if not args.check:
        for each in chosen:
            env.stdout.write(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n")
        return ExitStatus.COMPLETED
    wrong = [(each["name"], found) for each in chosen if (found := problem(each)) is not None]
    for name, found in wrong:
        env.stderr.write(f"{name}: {found}\n")
    counts = ", ".join(f"{sum(each['kind'] == kind for each in chosen)} {kind}" for kind in kinds)
    env.stdout.write(f"{counts}: {f'{len(wrong)} do not hold' if wrong else 'all hold'}\n")
    return ExitStatus.FAILED if wrong else ExitStatus.COMPLETED


def recorded(kind: str) -> list[dict[str, Any]]:
    """The vectors of one kind that came with this version."""
    return list(_lines((files("protocol") / "vectors" / f"{kind}.jsonl").read_text(encoding="utf-8"), f"{kind}.jsonl"))


def problem(vector: Mapping[str, Any]) -> str | None:
    """What this version does otherwise than a vector says, or None. `vector` is one object of a vectors file."""
    return _CHECKS[vector["kind"]](vector)


def _all(args: Namespace, env: Environment) -> list[dict[str, Any]]:
    if args.file is None:
        return [each for kind in KINDS for each in recorded(kind)]
    path: Path = env.cwd / args.file
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--file {args.file} cannot be read: {why_failed(error)}") from error
    return list(_lines(text, args.file))


def _lines(text: str, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            vector = json.loads(line)
            known = vector["kind"] in KINDS and isinstance(vector["name"], str)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{name}, line {number} is no vector: {error}") from error
        if not known:
            raise UsageError(f"{name}, line {number} is no vector: its kind is not one of {', '.join(KINDS)}")
        yield vector


# -- one kind each


def _codec(vector: Mapping[str, Any]) -> str | None:
    import msgpack

    from protocol.codec import decode, encode
    from protocol.errors import RemoteProtocolError
    from protocol.replay import split
    from protocol.tagged import tag, untag

    packet = bytes.fromhex(vector["hex"])
    try:
        messages = decode(packet)
    except RemoteProtocolError as error:
        return None if error.fault == vector["error"] else f"refused with {error.fault}, not {vector['error']}"
    if vector["error"] is not None:
        return f"taken, although {vector['error']} is to refuse it"
    if tag(split(packet)) != vector["value"]:
        return "read as another value"
    if vector["canonical"]:
        if b"".join(map(encode, messages)) != packet:
            return "written with other bytes"
        if b"".join(map(msgpack.packb, untag(vector["value"]))) != packet:
            return "its value is written with other bytes"
    return None


def _graph(vector: Mapping[str, Any]) -> str | None:
    from graphs.agents import standard
    from graphs.language.cut import cut
    from graphs.language.load import load_text
    from graphs.language.spec import Graph
    from graphs.values import canonical, graph_hash
    from protocol.tagged import untag

    try:
        document = load_text(vector["yaml"]).data
        if "nodes" in vector:
            document = cut(Graph.of(document, set(standard())), vector["nodes"]).document
    except (GraphferryError, ValueError) as error:
        return f"refused: {error}"
    if canonical(document, strict=True).hex() != vector["canonical_hex"]:
        return "another canonical form"
    if canonical(untag(vector["value"]), strict=True).hex() != vector["canonical_hex"]:
        return "its value has another canonical form"
    return None if graph_hash(document).hex() == vector["sha256"] else "another hash"


def _session(vector: Mapping[str, Any]) -> str | None:
    from protocol.replay import first_difference

    found = first_difference(vector)
    if found is None:
        return None
    number, said, real = found
    return f"step {number}: {json.dumps(said, ensure_ascii=False)} was recorded, now it is {json.dumps(real, ensure_ascii=False)}"


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any]], str | None]]] = {"codec": _codec, "graph": _graph, "session": _session}
