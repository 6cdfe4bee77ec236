"""The table of a device's models: what `graphferry models` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from graphs.models.files.facts import memory_needed
from graphs.models.files.store import StoredModel
from graphs.models.hosting.hosted import DEFAULT_CONTEXT
from graphs.models.hosting.machine import holders
from graphs.models.openai.servers import Server
from graphs.terminal import printable

__all__ = ["model_rows", "table"]

_HEADS: Final = ("name", "licence", "type", "size", "context", "loaded", "RAM", "tok/s", "file")
_RIGHT: Final = frozenset({"size", "context", "RAM", "tok/s"})


def model_rows(models: Sequence[StoredModel], servers: Mapping[str, Server]) -> list[dict[str, Any]]:
    """What is known of each. `loaded` are the processes that have its file now; `ram` is what those take, or what it would take with
    `context_here`, the tokens of context it gets on this device.
    """
    held = holders([model.path for model in models])
    rows = [_row(model, held.get(model.path, [])) for model in models]
    return rows + [_server_row(name, server) for name, server in sorted(servers.items())]


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows for people, with a head."""
    cells = [_HEADS, *(tuple(map(printable, _cells(row))) for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(_HEADS))]
    lines = [
        "  ".join(
            cell.rjust(width) if head in _RIGHT else cell.ljust(width)
            for cell, width, head in zip(line, widths, _HEADS, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join(lines) + "\n"


def _row(model: StoredModel, held: Sequence[tuple[int, int]]) -> dict[str, Any]:
    facts = model.facts
    return {
        "name": model.name,
        "path": str(model.path),
        "url": None,
        "size": model.size,
        "sha256": facts.sha256 if facts else None,
        "licence": facts.licence if facts else None,
        "quantisation": facts.quantisation if facts else None,
        "context": facts.context if facts else None,
        "context_here": min(facts.context or DEFAULT_CONTEXT, DEFAULT_CONTEXT) if facts else DEFAULT_CONTEXT,
        "loaded": [pid for pid, _ in held],
        "ram": sum(taken for _, taken in held) or memory_needed(model.path, DEFAULT_CONTEXT),
        "tokens_per_second": facts.tokens_per_second if facts else None,
        "prompt_per_second": facts.prompt_per_second if facts else None,
        "measured": facts.measured if facts else None,
        "source": facts.source if facts else None,
        "source_sha256": facts.source_sha256 if facts else None,
        "source_quantisation": facts.source_quantisation if facts else None,
    }


def _server_row(name: str, server: Server) -> dict[str, Any]:
    known: dict[str, Any] = {"name": name, "url": server.url, "context": server.context, "loaded": []}
    nothing = ("path", "size", "context_here", "sha256", "licence", "quantisation", "ram", "tokens_per_second", "prompt_per_second", "measured",
               "source", "source_sha256", "source_quantisation")  # fmt: skip
    return {**dict.fromkeys(nothing), **known}


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    loaded = ", ".join(map(str, row["loaded"]))
    ram = _megabytes(row["ram"])
    speed = f"{row['tokens_per_second']:.1f}" if row["tokens_per_second"] else "-"
    server = row["url"] is not None
    return (
        row["name"],
        "-" if server else row["licence"] or "unknown",
        row["quantisation"] or "-",
        _megabytes(row["size"]),
        _context(row["context"], row["context_here"]),
        f"pid {loaded}" if loaded else "-" if server else "no",
        ram if loaded or ram == "-" else f"~{ram}",
        speed,
        row["path"] or row["url"],
    )


def _context(trained: int | None, here: int | None) -> str:
    return f"{here} of {trained}" if here and trained and here < trained else str(trained or "-")


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:.1f} MB" if size else "-"
