"""A model's file by URL: resumed after a cut, checked against its hash, whole or not there.

What has come so far lies in a hidden file in the folder of models, with what its server said of it beside it, so that the next attempt
goes on where this one ended, also after this process is gone. A server whose file has changed meanwhile is asked for all of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from graphs.errors import UsageError
from graphs.models.files.quantise import Progress

if TYPE_CHECKING:
    import httpx

__all__ = ["Download", "Source", "read_source"]

_TRIES: Final = 8
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_SPARE: Final = 64 * 1024 * 1024
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Source:
    """What `models get` was asked for: an address or a name, and perhaps the SHA-256 (hex) that the file must have."""

    text: str
    sha256: str | None = None

    @property
    def is_url(self) -> bool:
        return self.text.startswith(("http://", "https://"))

    @property
    def name(self) -> str:
        """What to call the model unless told otherwise: the file's name without its ending."""
        return Path(unquote(urlsplit(self.text).path)).name.removesuffix(".gguf") if self.is_url else self.text


def read_source(text: str) -> Source:
    """`URL`, `NAME`, or either with `@SHA256`. Raises UsageError for a hash that is none, and an address with a user in it."""
    head, at, tail = text.rpartition("@")
    if at and "/" not in tail:
        if not _HASH.fullmatch(tail):
            raise UsageError(f"{tail!r} is no SHA-256: after the @ come 64 digits from 0 to f.")
        text, sha256 = head, tail.lower()
    else:
        sha256 = None
    if text.startswith(("http://", "https://")) and "@" in urlsplit(text).netloc:
        raise UsageError("An address with a user or a password in it is not taken.")
    return Source(text, sha256)


class Download:
    """One file on its way into `folder`, under `name`. `file` is where it is once `run` returned; `take` or `drop` ends it."""

    def __init__(
        self, source: Source, folder: Path, name: str, *, sleep: Callable[[float], None] = time.sleep, silence: float = 60.0
    ) -> None:
        self.file = folder / f".{name}.part"
        self._source = source
        self._notes = folder / f".{name}.part.json"
        self._sleep = sleep
        self._silence = silence

    def run(self, progress: Progress | None = None) -> str:
        """Gets what is missing, and gives the file's SHA-256.

        Raises UsageError: the server does not give it, goes away for too long, or gives something else than was asked for. What has
        come stays for the next attempt, but for a file that is whole and not the right one.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._start_over_unless_same()
        self._get(progress)
        digest = _hash(self.file)
        if self._source.sha256 is not None and digest != self._source.sha256:
            self.drop()
            raise UsageError(f"{self._source.text} has the SHA-256 {digest}, not {self._source.sha256}; it was not taken.")
        return digest

    def drop(self) -> None:
        """Forgets what has come."""
        self.file.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _get(self, progress: Progress | None) -> None:
        import httpx

        failures, before, why = 0, -1, ""
        client = httpx.Client(
            timeout=self._silence, follow_redirects=True, max_redirects=5, headers={"Accept-Encoding": "identity"}
        )
        with client:
            while failures < _TRIES:
                if self._size() > before:  # something came: the patience begins anew
                    failures, before = 0, self._size()
                try:
                    if self._ask(client, progress):
                        return
                    why = "the connection ended before the file did"
                except httpx.TransportError as error:
                    why = str(error) or type(error).__name__
                except _Later as later:
                    why = str(later)
                self._sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
        raise UsageError(
            f"{self._source.text} could not be fetched: {why}. {self._size()} bytes have come and are kept.",
            hint="The same command goes on from there.",
        )

    def _ask(self, client: httpx.Client, progress: Progress | None) -> bool:
        """One request for what is missing. True if the file is whole."""
        at, notes = self._size(), self._read_notes()
        headers = {"Range": f"bytes={at}-"} if at else {}
        if at and notes.get("version"):
            headers["If-Range"] = notes["version"]
        with client.stream("GET", self._source.text, headers=headers) as response:
            if any(each.url.scheme == "https" for each in response.history) and response.url.scheme == "http":
                raise UsageError(f"{self._source.text} leads to an address without encryption; it was not taken.")
            status = response.status_code
            if status in _TRANSIENT:
                raise _Later(f"the server answered with status {status}")
            if status == 416 or (status == 206 and not self._continues(response, at)):
                self.file.unlink(missing_ok=True)
                return False
            if status not in (200, 206):
                raise UsageError(f"{self._source.text} cannot be fetched: the server answered with status {status}.")
            if status == 200:
                at = 0
            total = self._total(response, at)
            self._require_room(total - at)
            self._note(response, total)
            with self.file.open("ab" if at else "wb") as file:
                try:
                    for piece in response.iter_raw():  # as it comes: what is gathered into chunks is lost with the connection
                        at += len(piece)
                        if total and at > total:
                            self.drop()
                            raise UsageError(f"{self._source.text} has more bytes than its server announced; it was not taken.")
                        file.write(piece)
                        if progress is not None:
                            progress(at, total)
                finally:
                    file.flush()
                    os.fsync(file.fileno())
            return at == total if total else True

    def _continues(self, response: httpx.Response, at: int) -> bool:
        match = _RANGE.fullmatch(response.headers.get("content-range", ""))
        return match is not None and int(match[1]) == at

    def _total(self, response: httpx.Response, at: int) -> int:
        """Bytes of the whole file, 0 if the server does not say."""
        match = _RANGE.fullmatch(response.headers.get("content-range", "")) if response.status_code == 206 else None
        if match is not None and match[2] != "*":
            return int(match[2])
        length = response.headers.get("content-length", "")
        return at + int(length) if length.isdigit() else 0

    def _require_room(self, missing: int) -> None:
        free = shutil.disk_usage(self.file.parent).free
        if missing + _SPARE > free:
            raise UsageError(f"{self._source.text} needs {missing} more bytes, and {self.file.parent} has {free}.")

    def _note(self, response: httpx.Response, total: int) -> None:
        version = response.headers.get("etag", "")
        if version.startswith("W/"):  # a weak one does not say that the bytes are the same
            version = ""
        notes = {"url": self._source.text, "version": version or response.headers.get("last-modified", ""), "total": total}
        self._notes.write_text(json.dumps(notes), encoding="utf-8")

    def _read_notes(self) -> dict[str, Any]:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _start_over_unless_same(self) -> None:
        """Without a word on which version has come, only a hash could tell whether two halves belong together."""
        notes = self._read_notes()
        same = notes.get("url") == self._source.text and (notes.get("version") or self._source.sha256)
        if self.file.exists() and not same:
            self.drop()

    def _size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0


class _Later(Exception):
    """The server may give it later."""


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
