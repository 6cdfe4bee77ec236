"""Paths name one execution's place in a run.

A path is segments `id[row]#turn!try` joined by `/`, from the root run. `[row]` and `!try` stand only on a segment that opens a
nested graph, `#turn` on a node whose own graph loops; `#turn` and `!try` are left out when 0. In ids the characters
`% / [ ] # !` are percent-escaped. A frame's name is a node's path with its last id left out: `""`, `#2`, `rows[3]/`, `plan!1/#4`.
(docs/protocol.md §2)
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "MAX_PATH",
    "child_frame",
    "document_path",
    "escape",
    "node_path",
    "opener",
    "root_node",
    "row_frames",
    "split_frame",
    "split_path",
    "unescape",
    "without_tries",
]

MAX_PATH: Final = 512
"""Bytes a path may have to cross the link; a longer one keeps its node on the device."""

_RESERVED = re.compile(r"[%/\[\]#!]")
_INSTANCE = re.compile(r"\[\d+\]|[#!]\d+")
_ROW_OR_TRIES = re.compile(r"\[\d+\]|!\d+")
_TRIES = re.compile(r"!\d+")
_ESCAPED = re.compile(r"%([0-9A-F]{2})")


def escape(node: str) -> str:
    """A node's id as it stands in a path."""
    return node if node.isidentifier() else _RESERVED.sub(lambda match: f"%{ord(match[0]):02X}", node)


def unescape(segment: str) -> str:
    """The node's id of an escaped segment without `[row]`, `#turn` and `!try`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), segment)


def node_path(frame: str, escaped_id: str) -> str:
    """The path of a node in the frame of that name: the id goes in front of the frame's `#turn`."""
    if "#" not in frame:
        return frame + escaped_id
    cut = frame.rfind("#")
    if cut <= frame.rfind("/"):
        return frame + escaped_id
    return f"{frame[:cut]}{escaped_id}{frame[cut:]}"


def child_frame(path: str, *, row: int | None = None, tries: int = 0) -> str:
    """The name of the frame that the nesting node at `path` opens, for its first turn.

    The node's own `#turn` stays where it is: `[row]` and `!try` stand around it, `id[row]#turn!try/`.
    """
    head, separator, last = path.rpartition("/")
    name, hash_mark, turn = last.partition("#")
    opened = name + (f"[{row}]" if row is not None else "") + hash_mark + turn + (f"!{tries}" if tries else "")
    return f"{head}{separator}{opened}/"


def row_frames(path: str, *, tries: int = 0) -> tuple[str, str]:
    """What stands before and after the number of the row in the names of the frames that the map at `path` opens."""
    before, _, after = child_frame(path, row=0, tries=tries).rpartition("[0]")
    return f"{before}[", f"]{after}"


def split_path(path: str) -> tuple[str, str]:
    """The name of the frame a node's path lies in, and the node's id."""
    head, slash, last = path.rpartition("/")
    escaped, hash_mark, turn = last.partition("#")
    return head + slash + hash_mark + turn, unescape(escaped)


def split_frame(name: str) -> tuple[str, int]:
    """A frame's name without its turn, and the turn."""
    base, hash_mark, turn = name.rpartition("#")
    if not hash_mark or "/" in turn:
        return name, 0
    return base, int(turn)


def document_path(path: str) -> str:
    """Where in the document a path's node stands: the path without rows, turns and tries."""
    return _INSTANCE.sub("", path)


def without_tries(path: str) -> str:
    """The path whichever time the nodes that nest it are tried: what a retry does again has the same one."""
    return _TRIES.sub("", path) if "!" in path else path


def opener(path: str) -> str:
    """The path of the node whose nested graph `path` lies in; "" for a path in the root graph."""
    head, _, last = path.rpartition("/")[0].rpartition("/")
    name = _ROW_OR_TRIES.sub("", last)
    return f"{head}/{name}" if head else name


def root_node(path: str) -> str:
    """The id of the root graph's node that `path` lies in or is."""
    return unescape(re.split(r"[/\[#!]", path, maxsplit=1)[0])
