"""What crossed the link for each node of a run, by the logs of the parts of it that workers were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from graphs.records import Input, Result, decode
from protocol.payload import references

__all__ = ["crossed"]


def crossed(journal: Any, run: bytes) -> Mapping[str, int]:
    """Bytes by path: of values that were given to workers, and of results that came from there; their bodies count in full."""
    found: Counter[str] = Counter()
    for child in journal.children(run):
        for writer in journal.writers(child.run):
            for entry in journal.entries(child.run, writer):
                if entry.type in (Input.TYPE, Result.TYPE):
                    record = decode(entry.type, entry.tail)
                    if isinstance(record, (Input, Result)):
                        found[record.path] += len(entry.tail) + sum(named.size for named in references(record))
    return found
