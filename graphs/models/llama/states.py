"""What a model has computed of prompts' beginnings, kept in files for its next process.

A file is named by all that its state depends on: the model's digest, the library's version, the kind of cache, and the tokens. What is
damaged, or belongs to something else, is not found. Files are written whole or not at all, and the ones used longest ago go first
when the folder grows past its limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["States", "Stored"]

_MAGIC: Final = b"gfstate1"
_HEAD: Final = struct.Struct(">8s32sIQ")
_SUFFIX: Final = ".state"
_PART: Final = 4
"""One file may take one part in so many of the limit."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Tokens and the state of a sequence that holds just them."""

    tokens: list[int]
    state: bytes


class States:
    """The states of one model in a folder that all models share. `identity` is everything but the tokens that a state depends on,
    `limit` the bytes that the folder may hold."""

    def __init__(self, folder: Path, identity: str, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._identity = hashlib.sha256(identity.encode()).digest()
        self._lengths: dict[int, set[str]] = {}
        self._writer: threading.Thread | None = None
        for path in self._files():
            owner, name, length = (*path.stem.split("-"), "", "")[:3]
            if owner == self._owner and length.isdigit():
                self._lengths.setdefault(int(length), set()).add(name)

    @property
    def _owner(self) -> str:
        return self._identity[:8].hex()

    def has(self, tokens: Sequence[int]) -> bool:
        """Whether there is a state of just these tokens."""
        return _name(tokens) in self._lengths.get(len(tokens), ())

    def find(self, tokens: Sequence[int], *, more_than: int = 0) -> Stored | None:
        """The state of the longest beginning of the tokens, if it is longer than `more_than`. At least one token is left over."""
        for length in sorted((each for each in self._lengths if more_than < each < len(tokens)), reverse=True):
            beginning = list(tokens[:length])
            if self.has(beginning) and (stored := self._read(beginning)) is not None:
                return stored
        return None

    def store(self, tokens: Sequence[int], state: bytes) -> None:
        """Writes a state, in the background. What does not fit the folder, or cannot be written, is not kept."""
        if len(state) > self._limit // _PART:
            return
        self.flush()
        self._lengths.setdefault(len(tokens), set()).add(_name(tokens))
        self._writer = threading.Thread(target=self._write, args=(list(tokens), state), name="states", daemon=True)
        self._writer.start()

    def flush(self) -> None:
        """Waits until what was stored is written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _path(self, tokens: Sequence[int]) -> Path:
        return self._folder / f"{self._owner}-{_name(tokens)}-{len(tokens)}{_SUFFIX}"

    def _read(self, tokens: list[int]) -> Stored | None:
        self.flush()
        path = self._path(tokens)
        try:
            whole = path.read_bytes()
            os.utime(path)
        except OSError:
            self._lengths[len(tokens)].discard(_name(tokens))
            return None
        packed = _packed(tokens)
        sound = len(whole) >= _HEAD.size + len(packed) + 32
        if sound:
            magic, identity, count, size = _HEAD.unpack_from(whole)
            body = memoryview(whole)[:-32]
            sound = (
                (magic, identity, count, size) == (_MAGIC, self._identity, len(tokens), len(body) - _HEAD.size - len(packed))
                and body[_HEAD.size : _HEAD.size + len(packed)] == packed
                and hashlib.blake2b(body, digest_size=32).digest() == whole[-32:]
            )
        if not sound:
            self._lengths[len(tokens)].discard(_name(tokens))
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return Stored(tokens, whole[_HEAD.size + len(packed) : -32])

    def _write(self, tokens: list[int], state: bytes) -> None:
        head = _HEAD.pack(_MAGIC, self._identity, len(tokens), len(state)) + _packed(tokens)
        whole = hashlib.blake2b(head, digest_size=32)
        whole.update(state)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=self._folder)  # readable for its owner alone
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(head)
                    file.write(state)
                    file.write(whole.digest())
                Path(draft).replace(self._path(tokens))
            except BaseException:
                Path(draft).unlink(missing_ok=True)
                raise
            self._make_room()
        except OSError:
            pass  # no space, no right: the prompt is computed again

    def _make_room(self) -> None:
        """Removes the files used longest ago until the rest is within the limit."""
        found = []
        for path in self._files():
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime_ns, facts.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder.is_dir() else []


def _packed(tokens: Sequence[int]) -> bytes:
    return struct.pack(f">{len(tokens)}i", *tokens)


def _name(tokens: Sequence[int]) -> str:
    return hashlib.sha256(_packed(tokens)).hexdigest()[:32]
