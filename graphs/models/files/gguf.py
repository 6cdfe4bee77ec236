"""What a GGUF file says of itself, read from its header alone: no weights are touched and no library is needed."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graphs.errors import UsageError

__all__ = ["MAGIC", "Header", "read_header"]

MAGIC: Final = b"GGUF"

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9
_MAX_ENTRIES: Final = 65_536
_MAX_TEXT: Final = 1 << 20
_MAX_ITEMS: Final = 1 << 22
_MAX_HEADER: Final = 1 << 28
_MAX_LICENCE: Final = 200
_BYTES_OF_F16: Final = 2

_FILE_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
    14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says; None where it is silent. `context` is the length in tokens the model was trained with, `kv_bytes` what
    a token of context takes in memory, with keys and values of 16 bits.
    """

    architecture: str | None
    context: int | None
    quantisation: str | None
    licence: str | None
    chat_template: bool
    kv_bytes: int | None = None


def read_header(path: Path) -> Header:
    """The header of the GGUF file at `path`. The file is untrusted: what it says is bounded in length, count and value.

    Raises UsageError if it is not one or is damaged, OSError if it cannot be read."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise UsageError(f"{path} is not a GGUF file: it does not begin with the letters GGUF.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                entries = _Reader(data).entries()
            except (struct.error, ValueError, UnicodeDecodeError) as error:
                raise UsageError(f"{path} is a damaged GGUF file: {error}.") from error
    architecture = entries.get("general.architecture")
    context = entries.get(f"{architecture}.context_length")
    return Header(
        architecture=architecture if isinstance(architecture, str) else None,
        context=context if isinstance(context, int) else None,
        quantisation=_FILE_TYPES.get(entries.get("general.file_type", -1)),
        licence=_line(entries.get("general.license")),
        chat_template=bool(entries.get("tokenizer.chat_template")),
        kv_bytes=_kv_bytes(entries, str(architecture)),
    )


def _line(text: object) -> str | None:
    """A text that may be shown on one line."""
    plain = "".join(each for each in text if each.isprintable()) if isinstance(text, str) else ""
    return plain[:_MAX_LICENCE] or None


def _kv_bytes(entries: dict[str, Any], architecture: str) -> int | None:
    def count(key: str) -> int:
        value = entries.get(f"{architecture}.{key}")
        return value if isinstance(value, int) and 0 < value < _MAX_ITEMS else 0

    layers, heads = count("block_count"), count("attention.head_count")
    width = count("embedding_length") // heads if heads else 0
    kv_heads = count("attention.head_count_kv") or heads  # a list by layer is not read: then as many as there can be
    keys, values = count("attention.key_length") or width, count("attention.value_length") or width
    return layers * kv_heads * (keys + values) * _BYTES_OF_F16 or None


class _Reader:
    """Walks the metadata. Every length is checked against the file, so damage ends in an error and not in memory."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = len(MAGIC)

    def entries(self) -> dict[str, Any]:
        version = self._scalar("I")
        if version not in (2, 3):
            raise ValueError(f"version {version}, known are 2 and 3")
        self._scalar("Q")  # the number of tensors
        count = self._scalar("Q")
        if count > _MAX_ENTRIES:
            raise ValueError(f"{count} entries")
        return {self._text(): self._value(self._scalar("I")) for _ in range(count)}

    def _scalar(self, code: str) -> Any:
        value = struct.unpack_from("<" + code, self._data, self._at)[0]
        self._at += struct.calcsize("<" + code)
        return value

    def _text(self) -> str:
        size = self._scalar("Q")
        if size > _MAX_TEXT:
            raise ValueError(f"a text of {size} bytes")
        start = self._advance(size)
        return self._data[start : self._at].decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._skip_array()
        if kind not in _SCALARS:
            raise ValueError(f"a value of unknown kind {kind}")
        return self._scalar(_SCALARS[kind])

    def _skip_array(self) -> None:
        """Vocabularies have tens of thousands of entries that nobody here asks for."""
        kind, count = self._scalar("I"), self._scalar("Q")
        if count > _MAX_ITEMS:
            raise ValueError(f"an array of {count} items")
        if kind == _STRING:
            for _ in range(count):
                self._advance(self._scalar("Q"))
        elif kind in _SCALARS:
            self._advance(count * struct.calcsize("<" + _SCALARS[kind]))
        else:
            raise ValueError(f"an array of kind {kind}")

    def _advance(self, size: int) -> int:
        start = self._at
        if start + size > len(self._data):
            raise ValueError("it ends inside its header")
        if start + size > _MAX_HEADER:
            raise ValueError(f"a header of more than {_MAX_HEADER} bytes")
        self._at += size
        return start
