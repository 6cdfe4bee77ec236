"""What is known of a model's file, kept beside it: its SHA-256 above all, which identifies the model in every record.

The facts of `NAME.gguf` lie in `NAME.gguf.json`. They hold as long as the file has the size and the time of change they name;
otherwise they are found out anew. Where nothing may be written beside the file they are found out once in each process.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from graphs.errors import UsageError
from graphs.models.files.gguf import read_header
from graphs.models.memory import footprint

__all__ = ["Facts", "examine", "facts_of", "hash_file", "known_facts", "memory_needed", "remember"]

_CHUNK: Final = 1 << 20
_unwritable: dict[Path, Facts] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """A model's file: `size` in bytes, `mtime_ns` its time of change, `source` where it came from, `context` in tokens.

    `source_sha256` and `source_quantisation` are those of the file it was made from, where it was written anew. `kv_bytes` is what a
    token of context takes in memory. `tokens_per_second` and `prompt_per_second` were measured here, at the time `measured` (ISO 8601, UTC).
    """

    sha256: str
    size: int
    mtime_ns: int
    source: str | None = None
    licence: str | None = None
    quantisation: str | None = None
    context: int | None = None
    chat_template: bool = False
    kv_bytes: int | None = None
    source_sha256: str | None = None
    source_quantisation: str | None = None
    tokens_per_second: float | None = None
    prompt_per_second: float | None = None
    measured: str | None = None

    @property
    def measured_at(self) -> float | None:
        """`measured` in seconds since 1970; None where nothing was measured, or nobody understands when."""
        try:
            moment = datetime.fromisoformat(self.measured) if self.measured else None
        except (ValueError, TypeError):
            return None
        if moment is None:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def known_facts(path: Path) -> Facts | None:
    """The facts kept for the file as it is now, or None. Reads no more than the file's status and the facts themselves.

    Raises OSError if there is no such file.
    """
    status = path.stat()
    facts = _unwritable.get(path) or _read(_beside(path))
    return facts if facts and (facts.size, facts.mtime_ns) == (status.st_size, status.st_mtime_ns) else None


def memory_needed(path: Path, context: int) -> int:
    """Bytes that the model in a file is expected to take with a context of so many tokens, 0 for as many as it was trained with.

    Reads the file's header at most. Raises OSError if there is no such file.
    """
    size, facts = path.stat().st_size, known_facts(path)
    kv_bytes, trained = (facts.kv_bytes, facts.context) if facts else (None, None)
    if kv_bytes is None:
        with suppress(UsageError):  # no model at all: its process will say so
            header = read_header(path)
            kv_bytes, trained = header.kv_bytes, header.context
    return footprint(size, kv_bytes, min(context, trained or context) if context else trained)


def facts_of(path: Path) -> Facts:
    """The facts of the file, found out and kept if they are not known: that reads all of it, 0.1 s for 100 MB.

    Raises OSError if it cannot be read, UsageError if it is not a GGUF file.
    """
    facts = known_facts(path)
    if facts is None:
        facts = examine(path)
        remember(path, facts)
    return facts


def examine(path: Path, *, source: str | None = None, licence: str | None = None) -> Facts:
    """The facts of the file as they are on disk, kept nowhere. `licence` is used where the file names none."""
    header = read_header(path)
    before = path.stat()
    return Facts(
        sha256=hash_file(path),
        size=before.st_size,
        mtime_ns=before.st_mtime_ns,
        source=source,
        licence=header.licence or licence,
        quantisation=header.quantisation,
        context=header.context,
        chat_template=header.chat_template,
        kv_bytes=header.kv_bytes,
    )


def remember(path: Path, facts: Facts) -> None:
    """Keeps the facts beside the file, in memory where that cannot be written."""
    place = _beside(path)
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
        draft.replace(place)
    except OSError:
        _unwritable[path] = facts


def hash_file(path: Path) -> str:
    """The SHA-256 of the file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read(place: Path) -> Facts | None:
    names = {field.name for field in fields(Facts)}
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        facts = Facts(**{key: value for key, value in kept.items() if key in names})
        return replace(facts, size=int(facts.size), mtime_ns=int(facts.mtime_ns))
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # missing, damaged or not ours: found out anew
