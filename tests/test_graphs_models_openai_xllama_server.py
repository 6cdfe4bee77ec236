"""llama.cpp's own server out of xllamacpp's wheel, as one of the servers that models are behind."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graphs.errors import LinkCondition
from graphs.models.conformance import check_model
from graphs.models.files.fetch import DEFAULT_MODEL
from graphs.models.files.store import ModelStore
from graphs.models.interface import GenerationRequest
from graphs.models.openai.client import Patience, ServerModel
from graphs.models.openai.servers import Server
from graphs.models.openai.xllama_server import main
from graphs.secrets import Secrets

installed = importlib.util.find_spec("xllamacpp") is not None
needs_wheel = pytest.mark.skipif(not installed, reason="xllamacpp is not installed: pip install 'graphferry[xllamacpp]'")
CONTEXT = 2048


@contextmanager
def serving(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The server's address, and its process."""
    path = ModelStore().find(DEFAULT_MODEL).path
    command = [
        sys.executable,
        "-m",
        "graphs.models.openai.xllama_server",
        str(path),
        "--context",
        str(CONTEXT),
        "--threads",
        "1",
        *options,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@needs_wheel
@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.usefixtures("home_with_model")
def test_it_keeps_all_promises_of_a_model_and_ends_with_its_parent() -> None:
    async def use(url: str, process: subprocess.Popen[str]) -> None:
        model = ServerModel(Server(url, DEFAULT_MODEL, context=CONTEXT, on_device=True), Secrets({}), Patience(pause=0.05))
        try:
            await check_model(model)
            assert process.stdin is not None
            process.stdin.close()
            assert await asyncio.to_thread(process.wait) == 0
            with pytest.raises(LinkCondition):
                await model.generate(GenerationRequest([{"role": "user", "content": "Hello"}], max_tokens=2))
        finally:
            await model.close()

    with serving() as (url, process):
        asyncio.run(use(url, process))


@needs_wheel
@pytest.mark.real_model
@pytest.mark.usefixtures("home_with_model")
def test_vectors_come_from_one_that_is_asked_for_them() -> None:
    async def use(url: str) -> None:
        model = ServerModel(Server(url, DEFAULT_MODEL, on_device=True), Secrets({}), Patience(pause=0.05))
        try:
            embeddings = await model.embed(["a cat", "a kitten"])
            assert len(embeddings.vectors) == 2
            assert embeddings.tokens > 0
        finally:
            await model.close()

    with serving("--embeddings") as (url, _):
        asyncio.run(use(url))


def test_what_cannot_be_served_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([str(tmp_path / "none.gguf")]) == 2
    assert "There is no file" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert main([str(tmp_path / "a.gguf")]) == 2
    assert "pip install 'graphferry[xllamacpp]'" in capsys.readouterr().err
