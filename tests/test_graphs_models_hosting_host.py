from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import LinkCondition, ModelCrashed, ModelMissing
from graphs.models.files.store import ModelStore
from graphs.models.hosting.host import HostOptions, ModelHost
from graphs.models.interface import GenerationRequest
from model_fakes import COMMAND, tiny_gguf


def ask(text: str) -> GenerationRequest:
    return GenerationRequest([{"role": "user", "content": text}])


def with_host(tmp_path: Path, use: Callable[[ModelHost], Awaitable[None]], options: HostOptions | None = None) -> None:
    async def main() -> None:
        tiny_gguf(tmp_path / "models" / "small.gguf")
        files = {"large": tiny_gguf(tmp_path / "elsewhere" / "l.gguf"), "gone": tmp_path / "gone.gguf"}
        store = ModelStore(tmp_path / "models")
        host = ModelHost(store, files=files, options=options or HostOptions(command=COMMAND, restart_delays=(0.0,)))
        try:
            await use(host)
        finally:
            await host.close()

    asyncio.run(main())


def test_models_of_the_folder_and_of_the_configuration_are_known_by_name(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        assert host.names() == ["gone", "large", "small"]
        info = host.describe("small")
        assert (info.name, info.backend, info.loaded, info.digest) == ("small", "llama.cpp", False, None)
        small = await host.get("small")
        assert await host.get("small") is small
        assert host.describe("small").loaded
        assert host.describe("small").digest is not None
        assert host.pid("small") == small.pid != None  # noqa: E711
        assert host.pid("large") is None
        assert (await (await host.get("large")).generate(ask("say hi"))).text == "hi "

    with_host(tmp_path, use)


def test_a_model_says_how_fast_its_last_answer_went_and_when(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        small = await host.get("small")
        await small.generate(ask("say a b c"))
        assert (small.info.tokens_per_second, small.info.measured) == (None, None), "too little to be timed"
        before = time.time()
        await small.generate(ask("say a b c d e f g h i j"))
        info = host.describe("small")
        assert info.tokens_per_second == 100
        assert before <= (info.measured or 0) <= time.time()
        assert info.prompt_per_second is None

    with_host(tmp_path, use)


def test_a_name_nobody_knows_says_where_it_was_looked_for(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        for look in (host.get, host.describe):
            with pytest.raises(ModelMissing, match="Did you mean small") as caught:
                await _perhaps(look("smal"))
            assert f"{tmp_path / 'models'} and the configuration" in caught.value.message
            assert "graphferry models add PATH" in (caught.value.hint or "")
        with pytest.raises(ModelMissing, match=r"no file .*gone\.gguf, which the configuration names"):
            await host.get("gone")

    with_host(tmp_path, use)


def test_a_crash_touches_no_other_model(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        small, large = await host.get("small"), await host.get("large")
        begun = asyncio.Event()
        generating = asyncio.create_task(large.generate(ask("forever"), lambda _: begun.set()))
        await begun.wait()
        before, other = host.pid("large"), host.pid("small")
        assert before is not None
        os.kill(before, signal.SIGKILL)
        with pytest.raises(ModelCrashed, match="model large"):
            await generating
        assert (await small.generate(ask("say x"))).text == "x "
        assert host.pid("small") == other
        assert host.pid("large") is None
        assert (await large.generate(ask("say y"))).text == "y "
        assert host.pid("large") not in (None, before)

    with_host(tmp_path, use)


def test_a_model_that_was_closed_is_loaded_anew_by_the_next_get(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        small = await host.get("small")
        await small.close()
        assert not host.describe("small").loaded
        assert (await (await host.get("small")).generate(ask("say x"))).text == "x "

    with_host(tmp_path, use)


def test_closing_leaves_no_process_and_refuses_what_comes(tmp_path: Path) -> None:
    async def use(host: ModelHost) -> None:
        await asyncio.gather(host.get("small"), host.get("large"))
        pids = [host.pid("small"), host.pid("large")]
        await host.close()
        for pid in pids:
            assert pid is not None
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        with pytest.raises(LinkCondition) as caught:
            await host.get("small")
        assert caught.value.condition == "DRAINING"

    with_host(tmp_path, use)


def test_without_llama_cpp_models_are_listed_and_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    async def use(host: ModelHost) -> None:
        assert host.describe("small").size
        with pytest.raises(ModelMissing, match="llama-cpp-python is not installed") as caught:
            await host.get("small")
        assert caught.value.hint == "pip install 'graphferry[llama]'"

    with_host(tmp_path, use, HostOptions())


def test_the_host_imports_nothing_heavy() -> None:
    program = "import sys, graphs.models.hosting.host; assert not {'llama_cpp', 'numpy', 'httpx', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[1])


async def _perhaps(value: Any) -> Any:
    return await value if asyncio.iscoroutine(value) else value
