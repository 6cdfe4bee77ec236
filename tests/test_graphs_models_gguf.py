from __future__ import annotations

import random
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.models.gguf import Header, read_header
from model_fakes import gguf_bytes, tiny_gguf


def test_a_header_is_read_past_vocabularies(tmp_path: Path) -> None:
    path = tiny_gguf(
        tmp_path / "a.gguf",
        tokenizer__ggml__tokens=["<s>", "ein", "größer"] * 50,
        tokenizer__ggml__token_type=[1, 2, 3],
        llama__rope__freq_base=10000.0,
        general__license="mit",
        tokenizer__chat_template="{{ messages }}",
    )
    assert read_header(path) == Header("llama", 512, "Q4_0", "mit", chat_template=True)


def test_what_a_header_does_not_say_is_none(tmp_path: Path) -> None:
    path = tmp_path / "bare.gguf"
    path.write_bytes(gguf_bytes(general__file_type=999))
    assert read_header(path) == Header(None, None, None, None, chat_template=False)


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip file", b"gguf" + bytes(40)])
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"other\.bin is not a GGUF file"):
        read_header(path)


def test_every_cut_and_every_kind_of_damage_ends_in_a_usage_error_or_a_header(tmp_path: Path) -> None:
    whole = gguf_bytes(general__architecture="llama", tokens=["a", "b"], numbers=[1, 2], llama__context_length=7, scale=1.5)
    path = tmp_path / "damaged.gguf"
    for cut in range(4, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError, match="damaged"):
            read_header(path)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(500):
        data = bytearray(whole)
        data[source.randrange(4, len(data))] = source.randrange(256)
        path.write_bytes(data)
        try:
            read_header(path)
        except UsageError:
            pass
