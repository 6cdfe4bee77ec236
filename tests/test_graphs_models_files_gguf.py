from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.models.files.gguf import Header, read_header
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


def test_a_token_of_context_takes_what_the_header_says(tmp_path: Path) -> None:
    shape = {"llama__block_count": 30, "llama__embedding_length": 576, "llama__attention__head_count": 9}
    assert read_header(tiny_gguf(tmp_path / "a.gguf", **shape)).kv_bytes == 2 * 30 * 9 * 64 * 2
    assert read_header(tiny_gguf(tmp_path / "b.gguf", **shape, llama__attention__head_count_kv=3)).kv_bytes == 23_040
    wide = {
        **shape,
        "llama__attention__head_count_kv": 3,
        "llama__attention__key_length": 128,
        "llama__attention__value_length": 32,
    }
    assert read_header(tiny_gguf(tmp_path / "c.gguf", **wide)).kv_bytes == 30 * 3 * 160 * 2
    for odd in ({}, {**shape, "llama__attention__head_count": 0}, {**shape, "llama__block_count": "many"}):
        assert read_header(tiny_gguf(tmp_path / "d.gguf", **odd)).kv_bytes is None


def test_a_licence_is_one_line_of_a_bounded_length(tmp_path: Path) -> None:
    assert (
        read_header(tiny_gguf(tmp_path / "a.gguf", general__license="mit\x1b[2J\n" + "x" * 1000)).licence == "mit[2J" + "x" * 194
    )
    assert read_header(tiny_gguf(tmp_path / "b.gguf", general__license=["mit"])).licence is None


def test_a_list_without_end_is_refused_before_it_is_walked(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    text = struct.pack("<Q", 1) + b"k"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text + struct.pack("<IIQ", 9, 8, 1 << 40) + bytes(1000))
    with pytest.raises(UsageError, match="an array of 1099511627776 items"):
        read_header(path)
