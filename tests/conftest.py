"""What all tests share: files of their own, a model where one is asked for, and a run of a command in this process."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from gates import Gates, gates
from graphferry.cli import main
from graphs.environment import Environment

if TYPE_CHECKING:
    from ferry import Ferry
    from workers import ServedWorker

MODELS = Environment.current().home("models")
"""Where this machine keeps its models: looked up before any test moves its files elsewhere."""


settings.register_profile(
    "any machine",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")  # how long an example takes says something about the machine alone


TASTES = ("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which a terminal looks as whoever runs the tests likes it."""


FREE = "unmetered mains"
"""The way to a worker costs nothing."""


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GRAPHFERRY_HOME of each test's own, so that no test sees the files of another or of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("GRAPHFERRY_") or name in TASTES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GRAPHFERRY_HOME", str(home))
    monkeypatch.setenv("GRAPHFERRY_CONDITIONS", FREE)  # whatever network and battery whoever runs the tests has
    return home


def impatient(home: Path, grace: float = 0.2) -> None:
    """Lets the device wait that long, in seconds, for a connection to come back: most tests end their worker for good."""
    (home / "edge").mkdir(exist_ok=True)
    (home / "edge" / "config.yaml").write_text(f"cloud: {{grace: {grace}}}\n", encoding="utf-8")


REQUIRED = os.environ.get("GRAPHFERRY_REQUIRE_MODEL") == "1"
"""Set by `make test`: a missing model is then a failure and not a reason to skip."""


@pytest.fixture
def home_with_model(own_home: Path) -> Path:
    """The test's own home, with this machine's models in it; for tests marked `real_model`."""
    missing = None
    if importlib.util.find_spec("llama_cpp") is None:
        missing = "llama.cpp is not installed: make llama"
    elif not any(MODELS.rglob("*.gguf")):
        missing = f"there is no model in {MODELS}: make model"
    if missing and REQUIRED:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    (own_home / "models").symlink_to(MODELS, target_is_directory=True)
    return own_home


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of the command line left behind."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands in this process. `environ` is all that they see of the variables."""

    environ: Mapping[str, str]
    cwd: Path
    streams: Callable[[], io.StringIO] = field(default=io.StringIO)

    def __call__(self, *words: str, stdin: str = "", **environ: str) -> Outcome:
        out, err = io.StringIO(), self.streams()
        env = Environment(io.StringIO(stdin), out, err, {"GRAPHFERRY_CONDITIONS": FREE, **self.environ, **environ}, self.cwd)
        status = main(words, env)
        return Outcome(status, out.getvalue(), err.getvalue())


@pytest.fixture
def cli(own_home: Path, tmp_path: Path) -> CommandLine:
    """`cli("run", "g.yaml")` runs that command in this process, in `tmp_path` and the test's own home."""
    return CommandLine({"GRAPHFERRY_HOME": str(own_home)}, tmp_path)


@pytest.fixture
def home(own_home: Path, tmp_path: Path) -> Path:
    """The test's own home, and the module `gate_agents` in the folder where commands run; for tests of device and worker together."""
    from gates import AGENTS

    (tmp_path / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    impatient(own_home)
    return own_home


@pytest.fixture
def ferry(cli: CommandLine, home: Path, tmp_path: Path) -> Ferry:
    """Runs a graph of two places against a worker of its own."""
    from ferry import Ferry

    return Ferry(cli, home, tmp_path)


@pytest.fixture
def served(own_home: Path) -> Iterator[ServedWorker]:
    """A worker with the scripted model `large`, for as long as the test takes."""
    from workers import worker

    with worker(own_home) as found:
        yield found


@pytest.fixture
def device(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], CommandLine]:
    """Another device each time, with files of its own; all work in the same folder."""
    from fleet import new_device

    return lambda: new_device(tmp_path_factory.mktemp("device"), tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gates]:
    """Agents of any process wait here until the test lets them go on."""
    with gates(tmp_path) as open_gates:
        yield open_gates
