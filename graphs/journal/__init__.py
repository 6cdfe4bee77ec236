"""The journal: every run's records in one SQLite file.

    with Journal.open(path) as journal:
        journal.create_run(run, role="root", graph_hash=hash, graph=body, name="news.yaml", started=now_ms)
        seq = journal.append(run, encode(record))
        await journal.barrier()        # now it is durable

`store` writes, `reader` reads, `schema` has the tables, `ids` the run ids. Lazy: sqlite3 is loaded with the first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphs.journal.ids import new_run_id, parse_run_id, run_id_short, run_id_text
    from graphs.journal.reader import Entry, Head, Logged, RunRow, StoredGraph
    from graphs.journal.store import Journal, OutOfOrder

__all__ = [
    "Entry",
    "Head",
    "Journal",
    "Logged",
    "OutOfOrder",
    "RunRow",
    "StoredGraph",
    "new_run_id",
    "parse_run_id",
    "run_id_short",
    "run_id_text",
]

_HOME = {
    "Entry": "reader",
    "Head": "reader",
    "Journal": "store",
    "Logged": "reader",
    "OutOfOrder": "store",
    "RunRow": "reader",
    "StoredGraph": "reader",
    "new_run_id": "ids",
    "parse_run_id": "ids",
    "run_id_short": "ids",
    "run_id_text": "ids",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
