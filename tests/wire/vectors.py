"""Makes the vectors of protocol/vectors: `make vectors` writes the files (docs/protocol.md §21)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from wire import codec_vectors, device_sessions, graph_vectors, worker_sessions
from wire.session_script import Script

__all__ = ["FOLDER", "KINDS", "text", "vectors"]

FOLDER = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
KINDS = ("codec", "graph", "session")


def vectors(kind: str) -> list[dict[str, Any]]:
    """All of one kind, in the order of the file."""
    if kind == "codec":
        return codec_vectors.vectors()
    if kind == "graph":
        return graph_vectors.vectors()
    return _sessions()


def _sessions() -> list[dict[str, Any]]:
    made = []
    for name, write in {**device_sessions.SESSIONS, **worker_sessions.SESSIONS}.items():
        script = Script(name, name.partition(":")[0], **worker_sessions.GIVEN.get(name, {}))
        write(script)
        made.append(script.vector)
    return made


def text(kind: str) -> str:
    """The file."""
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in vectors(kind))


if __name__ == "__main__":
    for each in KINDS:
        made = text(each)
        (FOLDER / f"{each}.jsonl").write_text(made, encoding="utf-8")
        sys.stdout.write(f"{made.count(chr(10))} vectors in protocol/vectors/{each}.jsonl\n")
