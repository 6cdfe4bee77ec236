"""Writes the states of the link into docs/protocol.md, from the tables of protocol.states. A test fails when they are stale.

.venv/bin/python tools/states_doc.py
"""

# ruff: noqa: INP001 - a script, not a part of any package

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from protocol.config import Role
from protocol.messages import NUMBERS, Entry, Unhandled
from protocol.states import CONNECTION, HEARD, RUN, Move, Phase

__all__ = ["states", "with_states"]

DOCUMENT: Final = Path(__file__).resolve().parent.parent / "docs" / "protocol.md"
BEGIN: Final = "<!-- states: made by tools/states_doc.py -->\n"
END: Final = "<!-- end of the states -->\n"


def states() -> str:
    """The tables and diagrams."""
    return "\n".join(_lines()) + "\n"


def with_states(document: str) -> str:
    """The document with the tables of today in it."""
    head, rest = document.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}{states()}{END}{tail}"


def _lines() -> Iterator[str]:
    for role in Role:
        yield f"**A connection, at the {role.value}.** It begins in `opening`."
        yield from _diagram(CONNECTION[role])
        yield from _table(CONNECTION[role])
    yield "**What may come when.** Else it is PROTOCOL_HANDSHAKE, or PROTOCOL_ORDER if it goes the other way; in `closing` nothing is looked at."
    yield ""
    yield "| side | in | may come |"
    yield "|---|---|---|"
    for role in Role:
        for phase in (Phase.OPENING, Phase.OPEN):
            yield f"| {role.value} | {_and_leaving(phase)} | {_kinds(role, phase)} |"
    yield ""
    for role in Role:
        yield f"**A run, at the {role.value}.** It begins in `waiting`."
        yield from _diagram(RUN[role])
        yield from _table(RUN[role])


def _and_leaving(phase: Phase) -> str:
    return "`open`, `leaving`" if phase is Phase.OPEN else f"`{phase.value}`"


def _kinds(role: Role, phase: Phase) -> str:
    known = sorted((NUMBERS[kind], kind) for kind in HEARD[role, phase] if kind in NUMBERS)
    words = [f"{_name(kind)}" for _, kind in known]
    if Entry in HEARD[role, phase]:
        words.append("reports (records 0x30 on)" if role is Role.DEVICE else "orders (records to 0x2F)")
    if Unhandled in HEARD[role, phase]:
        words.append("types of §19")
    return ", ".join(words)


def _name(kind: type) -> str:
    from protocol.messages import CATALOGUE

    return CATALOGUE[NUMBERS[kind]].name


def _diagram(moves: Sequence[Move]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {moves[0].before.value}"
    for move in moves:
        if move.before is not move.to:
            yield f"    {move.before.value} --> {move.to.value}: {move.event.replace(':', ',')}"
    yield "```"


def _table(moves: Sequence[Move]) -> Iterator[str]:
    yield ""
    yield "| in | when | then | what it does |"
    yield "|---|---|---|---|"
    for move in moves:
        yield f"| {move.before.value} | {move.event} | {move.to.value} | {move.does} |"
    yield ""


if __name__ == "__main__":
    DOCUMENT.write_text(with_states(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
