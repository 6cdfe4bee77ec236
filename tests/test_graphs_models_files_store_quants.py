"""Models in other quantisations than they came in, and models by address; the library's work is done by a stand-in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.models.files import store as store_module
from graphs.models.files.download import Source
from graphs.models.files.facts import hash_file
from graphs.models.files.fetch import Embedded
from graphs.models.files.quantise import Progress, Quant
from graphs.models.files.store import ModelStore
from model_fakes import gguf_bytes, tiny_gguf

TYPES = {"q8_0": 7, "q4_0": 2}
Q4_1 = {"general__architecture": "llama", "general__file_type": 3}


@pytest.fixture
def rewrites(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands for llama.cpp: the types that were asked for."""
    asked: list[str] = []

    def quantise(source: Path, target: Path, quant: Quant, progress: Progress | None = None) -> None:
        asked.append(quant)
        tiny_gguf(target, general__file_type=TYPES[quant], made_of=hash_file(source))

    monkeypatch.setattr(store_module, "quantise", quantise)
    return asked


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def files(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_a_file_is_written_anew_once_and_both_digests_are_kept(store: ModelStore, tmp_path: Path, rewrites: list[str]) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", **Q4_1)
    model = store.add(path, quant="q8_0")
    assert model.facts is not None
    assert (model.facts.quantisation, model.facts.source_quantisation) == ("Q8_0", "Q4_1")
    assert (model.facts.sha256, model.facts.source_sha256) == (hash_file(model.path), hash_file(path))
    assert store.add(path, quant="q8_0") == model
    assert rewrites == ["q8_0"]
    assert files(store) == ["a.gguf", "a.gguf.json"]
    assert path.exists()


def test_the_same_model_in_another_quantisation_takes_its_place(store: ModelStore, tmp_path: Path, rewrites: list[str]) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", **Q4_1)
    quants: list[Quant] = ["q8_0", "q4_0", "none", "q8_0"]
    kept = [store.add(path, quant=quant).facts for quant in quants]
    assert [facts.quantisation for facts in kept if facts] == ["Q8_0", "Q4_0", "Q4_1", "Q8_0"]
    with pytest.raises(UsageError, match="another model a already"):
        store.add(tiny_gguf(tmp_path / "b.gguf", extra=1), "a", quant="q8_0")
    assert files(store) == ["a.gguf", "a.gguf.json"]


def test_a_file_of_that_type_is_copied_as_it_is(store: ModelStore, tmp_path: Path, rewrites: list[str]) -> None:
    path = tiny_gguf(tmp_path / "a.gguf", general__file_type=7)
    model = store.add(path, quant="q8_0")
    assert model.facts is not None
    assert (model.facts.source_sha256, rewrites) == (None, [])
    assert model.path.read_bytes() == path.read_bytes()
    assert path.exists()


def test_a_model_that_is_here_as_it_came_stays_so_until_something_else_is_asked_for(
    tmp_path: Path, rewrites: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = gguf_bytes(**Q4_1)
    (tmp_path / "weights").write_bytes(weights)
    origin = Embedded("tiny==1", "", "tiny.gguf", hash_file(tmp_path / "weights"), "Kind-1.0")
    fetched: list[str] = []

    def fetch(name: str, origin: Embedded, scratch: Path) -> tuple[Path, Path]:
        fetched.append(name)
        (scratch / "model").write_bytes(weights)
        (scratch / "licence").write_text("be kind")
        return scratch / "model", scratch / "licence"

    monkeypatch.setattr(store_module, "fetch", fetch)
    store = ModelStore(tmp_path / "models", embedded={"tiny": origin})

    def kept(quant: Quant | None = None) -> str | None:
        facts = store.get("tiny", quant=quant).facts
        return facts.quantisation if facts else None

    assert [kept(), kept(), kept("q8_0"), kept(), kept("q8_0")] == ["Q4_1", "Q4_1", "Q8_0", "Q8_0", "Q8_0"]
    assert (fetched, rewrites) == (["tiny"], ["q8_0"])
    assert kept("q4_0") == "Q4_0"
    assert fetched == ["tiny", "tiny"]
    assert store.get("tiny", sha256=origin.sha256).facts == store.find("tiny").facts
    with pytest.raises(UsageError, match="has the SHA-256"):
        store.get("tiny", sha256="0" * 64)
    (store.folder / "tiny.gguf.json").unlink()
    with pytest.raises(UsageError, match="is not the model tiny"):
        store.get("tiny")


def test_a_model_of_ones_own_is_checked_against_a_hash(store: ModelStore, tmp_path: Path) -> None:
    model = store.add(tiny_gguf(tmp_path / "a.gguf"))
    assert store.get("a", sha256=hash_file(model.path)) == model
    with pytest.raises(UsageError, match="not 0000"):
        store.get("a", sha256="0" * 64)


class FakeDownload:
    """Puts a file there instead of fetching it."""

    data = gguf_bytes(**Q4_1)
    runs = 0

    def __init__(self, source: Source, folder: Path, name: str) -> None:
        self.file = folder / f".{name}.part"

    def run(self, progress: Progress | None = None) -> str:
        type(self).runs += 1
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(self.data)
        return hash_file(self.file)

    def drop(self) -> None:
        self.file.unlink(missing_ok=True)


def downloads(**different: object) -> type:
    return type("Download", (FakeDownload,), {"runs": 0, **different})


@pytest.mark.parametrize(("quant", "kept"), [("none", "Q4_1"), ("q8_0", "Q8_0")])
def test_a_model_comes_from_an_address_once(store: ModelStore, rewrites: list[str], quant: Quant, kept: str) -> None:
    way, source = downloads(), Source("http://h/my-model.gguf")
    model = store.get_url(source, quant=quant, download=way)
    assert model.facts is not None
    assert (model.name, model.facts.quantisation, model.facts.source) == ("my-model", kept, source.text)
    assert store.get_url(source, quant=quant, download=way) == model
    digest = model.facts.source_sha256 or model.facts.sha256
    assert store.get_url(replace(source, text="http://mirror/my-model.gguf", sha256=digest), download=way) == model
    assert way.runs == 1  # type: ignore[attr-defined]
    assert files(store) == ["my-model.gguf", "my-model.gguf.json"]
    for other in (Source("http://elsewhere/my-model.gguf"), replace(source, sha256="0" * 64)):
        with pytest.raises(UsageError, match="another model my-model already"):
            store.get_url(other, download=way)


def test_what_is_no_model_is_not_kept(store: ModelStore) -> None:
    with pytest.raises(UsageError, match="not a GGUF"):
        store.get_url(Source("http://h/x.gguf"), download=downloads(data=b"<html>"))
    assert files(store) == []
    with pytest.raises(UsageError, match="cannot be a model's name"):
        store.get_url(Source("http://h/"), download=downloads())


def test_what_was_measured_is_kept_until_the_file_changes(store: ModelStore, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    store.add(path)
    facts = store.note_speed("a", tokens_per_second=50.5, prompt_per_second=400.0, measured="2026-01-02").facts
    assert facts is not None
    assert (facts.tokens_per_second, facts.prompt_per_second, facts.measured) == (50.5, 400.0, "2026-01-02")
    assert store.find("a").facts == facts
    tiny_gguf(store.folder / "a.gguf", extra=1)
    assert store.find("a").facts is None
