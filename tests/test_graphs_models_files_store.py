from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from graphs.errors import ModelMissing, UsageError
from graphs.models.files import store as store_module
from graphs.models.files.fetch import Embedded
from graphs.models.files.store import ModelStore, models_folder
from model_fakes import gguf_bytes, tiny_gguf

WEIGHTS = gguf_bytes(general__architecture="llama", general__file_type=3)
EMBEDDED = {"tiny": Embedded("tiny-model==1.0", "", "tiny.gguf", hashlib.sha256(WEIGHTS).hexdigest(), "Kind-1.0")}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "home" / "models", embedded=EMBEDDED)


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands for the download: the names that were fetched."""
    names: list[str] = []

    def fetch(name: str, origin: Embedded, scratch: Path) -> tuple[Path, Path]:
        names.append(name)
        (scratch / "model").write_bytes(WEIGHTS)
        (scratch / "licence").write_text("be kind")
        return scratch / "model", scratch / "licence"

    monkeypatch.setattr(store_module, "fetch", fetch)
    return names


def files(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_the_folder_is_in_graphferrys_home_or_the_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHFERRY_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "models"
    assert ModelStore().folder == tmp_path / "models"
    monkeypatch.delenv("GRAPHFERRY_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder().name == "models"
    assert models_folder().parent.name == "graphferry"


def test_a_folder_that_is_not_there_has_no_models(store: ModelStore) -> None:
    assert store.list() == []
    assert not store.folder.exists()


def test_adding_copies_the_file_and_keeps_its_facts(store: ModelStore, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "my-model.Q4.gguf", general__license="mit")
    model = store.add(path)
    assert (model.name, model.path) == ("my-model.Q4", store.folder / "my-model.Q4.gguf")
    assert model.path.read_bytes() == path.read_bytes()
    assert model.facts is not None
    assert (model.facts.source, model.facts.licence, model.facts.quantisation) == (str(path), "mit", "Q4_0")
    path.unlink()
    assert store.find("my-model.Q4") == model
    assert store.list() == [model]
    assert files(store) == ["my-model.Q4.gguf", "my-model.Q4.gguf.json"]


def test_adding_a_link_leaves_the_file_where_it_is(store: ModelStore, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    model = store.add(path, "b", link=True)
    assert model.path.is_symlink()
    assert model.path.resolve() == path
    path.unlink()
    assert store.list() == []
    with pytest.raises(ModelMissing):
        store.find("b")


def test_adding_the_same_again_changes_nothing_and_another_of_that_name_is_refused(store: ModelStore, tmp_path: Path) -> None:
    first, second = tiny_gguf(tmp_path / "a.gguf"), tiny_gguf(tmp_path / "x" / "a.gguf", extra=1)
    model = store.add(first)
    assert store.add(first) == model
    with pytest.raises(UsageError, match="another model a already"):
        store.add(second)
    assert store.list() == [model]
    assert files(store) == ["a.gguf", "a.gguf.json"]


@pytest.mark.parametrize("name", ["../up", ".hidden", "a b", "x" * 129, "a/b"])
def test_names_that_are_no_names_are_refused(store: ModelStore, tmp_path: Path, name: str) -> None:
    path = tiny_gguf(tmp_path / "a.gguf")
    with pytest.raises(UsageError, match="cannot be a model's name"):
        store.add(path, name)
    with pytest.raises(ModelMissing):
        store.find(name)


def test_other_files_are_refused_and_leave_nothing(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match="not a GGUF"):
        store.add(tmp_path / "a.zip")
    with pytest.raises(UsageError, match="no file"):
        store.add(tmp_path / "missing.gguf")
    assert not store.folder.exists()


def test_a_file_put_there_by_hand_is_a_model(store: ModelStore) -> None:
    path = tiny_gguf(store.folder / "by-hand.gguf")
    model = store.find("by-hand")
    assert (model.path, model.size, model.facts) == (path, path.stat().st_size, None)


def test_a_missing_model_says_where_it_was_looked_for_and_what_helps(store: ModelStore) -> None:
    tiny_gguf(store.folder / "qwen-small.gguf")
    with pytest.raises(ModelMissing) as caught:
        store.find("qwen-smal")
    assert "qwen-smal " in caught.value.message
    assert str(store.folder) in caught.value.message
    assert "Did you mean qwen-small?" in caught.value.message
    assert caught.value.hint == "graphferry models get smollm2-135m   or   graphferry models add PATH"
    with pytest.raises(ModelMissing, match="There are: qwen-small"):
        store.find("zzz")


def test_get_fetches_once(store: ModelStore, fetches: list[str]) -> None:
    model = store.get("tiny")
    assert model.facts is not None
    assert (model.facts.sha256, model.facts.source, model.facts.licence) == (
        EMBEDDED["tiny"].sha256,
        "tiny-model==1.0",
        "Kind-1.0",
    )
    assert files(store) == ["tiny.LICENSE", "tiny.gguf", "tiny.gguf.json"]
    assert store.get("tiny") == model
    assert fetches == ["tiny"]


def test_get_hashes_a_file_it_has_no_facts_of_and_refuses_another_one(store: ModelStore, fetches: list[str]) -> None:
    store.folder.mkdir(parents=True)
    path = store.folder / "tiny.gguf"
    path.write_bytes(WEIGHTS)
    found = store.get("tiny").facts
    assert found is not None
    assert found.sha256 == EMBEDDED["tiny"].sha256
    assert store.find("tiny").facts == found
    tiny_gguf(path, extra=5)
    with pytest.raises(UsageError, match="is not the model tiny"):
        store.get("tiny")
    assert fetches == []


def test_get_of_a_model_that_was_added_finds_it_and_of_no_model_says_so(
    store: ModelStore, tmp_path: Path, fetches: list[str]
) -> None:
    model = store.add(tiny_gguf(tmp_path / "mine.gguf"))
    assert store.get("mine") == model
    with pytest.raises(ModelMissing):
        store.get("other")
    assert fetches == []


def test_a_failed_fetch_leaves_nothing(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, origin: Embedded, scratch: Path) -> tuple[Path, Path]:
        (scratch / "half").write_bytes(b"GG")
        raise UsageError("no network")

    monkeypatch.setattr(store_module, "fetch", fetch)
    with pytest.raises(UsageError, match="no network"):
        store.get("tiny")
    assert files(store) == []
