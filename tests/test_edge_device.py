from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest

from edge.config import EdgeConfig
from edge.device import open_device, sweep_bodies
from edge.network.link_policy import LinkPolicy
from gates import AGENTS
from graphs.environment import Environment
from graphs.errors import UsageError
from graphs.journal import Journal, new_run_id
from graphs.questions import Question


class Person(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


def env(folder: Path, stdin: io.StringIO | None = None, stderr: io.StringIO | None = None) -> Environment:
    return Environment(stdin or io.StringIO(), io.StringIO(), stderr or io.StringIO(), {"GRAPHFERRY_HOME": str(folder)}, folder)


def test_a_device_has_the_standard_agents_its_own_and_a_scripted_model(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(AGENTS, encoding="utf-8")
    with open_device(env(tmp_path), EdgeConfig(home=tmp_path / "edge"), agents=("mine.py",)) as device:
        assert {"copyAgent", "llmAgent", "gateAgent"} <= set(device.agents)
        assert "scripted" in device.models.names()
        assert device.tiers["small"] == device.default_model == "smollm2-135m"
        assert device.files == str(tmp_path)
        asyncio.run(device.models.close())


def test_tiers_are_names_for_models(tmp_path: Path) -> None:
    config = EdgeConfig(home=tmp_path / "edge", models={"small": "scripted", "mine": "scripted"})

    async def main() -> None:
        with open_device(env(tmp_path), config) as device:
            assert (await device.models.get("mine")).info.name == "scripted"
            assert device.default_model == "scripted"
            await device.models.close()

    asyncio.run(main())


def test_the_journal_is_the_devices_and_is_closed_at_the_end(tmp_path: Path) -> None:
    with open_device(env(tmp_path), EdgeConfig(home=tmp_path / "edge")) as device:
        store = device.journal.store_id
    with Journal.open(tmp_path / "edge" / "journal.db") as journal:
        assert journal.store_id == store


@pytest.mark.parametrize(("command", "low"), [("echo battery 5%", True), ("echo battery 50%", False), ("echo mains 5%", False)])
def test_a_command_tells_of_the_battery(tmp_path: Path, command: str, low: bool) -> None:
    config = EdgeConfig(home=tmp_path / "edge", link=LinkPolicy(command=command))
    with open_device(env(tmp_path), config) as device:
        assert device.is_low() is low


def test_only_a_person_at_a_terminal_is_asked(tmp_path: Path) -> None:
    with open_device(env(tmp_path), EdgeConfig(home=tmp_path / "edge")) as device:
        assert device.person is None
    terminal = env(tmp_path, Person("forty-two\n"), Person())
    with open_device(terminal, EdgeConfig(home=tmp_path / "edge")) as device:
        assert device.person is not None
        assert asyncio.run(device.person.ask(Question("n", 1, "text", "How many"))) == "forty-two"
    assert isinstance(terminal.stderr, io.StringIO)
    assert terminal.stderr.getvalue() == "How many: "


def test_a_module_that_has_no_agents_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty_module.py").write_text("x = 1\n", encoding="utf-8")
    with (
        pytest.raises(UsageError, match=r"--agents empty_module\.py: no agent in it"),
        open_device(env(tmp_path), EdgeConfig(home=tmp_path / "edge"), agents=("empty_module.py",)),
    ):
        pass


def test_bodies_that_no_run_needs_are_swept_once_a_day(tmp_path: Path) -> None:
    config = EdgeConfig(home=tmp_path / "edge")
    with open_device(env(tmp_path), config) as device:
        journal = device.journal
        files = journal.body_files
        run = new_run_id()
        journal.create_run(run, role="root", graph_hash=bytes(32), name="g", started=1)
        for name, pinned in ((b"a" * 32, True), (b"b" * 32, False)):
            files.keep("own", name, b"x" * 10)
            os.utime(files.folder / "own" / name.hex(), (0, 0))
            if pinned:
                journal.pin_body(run, "own", name, 10, own=True)
        asyncio.run(device.models.close())
    with open_device(env(tmp_path), config) as device:
        assert [device.journal.body_files.held("own", name * 32)[0] for name in (b"a", b"b")] == [10, 0]
        device.journal.body_files.keep("own", b"c" * 32, b"x")
        os.utime(device.journal.body_files.folder / "own" / (b"c" * 32).hex(), (0, 0))
        assert sweep_bodies(device.journal) == 0, "not again today"
        asyncio.run(device.models.close())
