"""The documents keep their word: every graph and program in them runs, gives what they show, and nothing that exists is left out."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import io
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from cloud.config import load_worker_config
from conftest import CommandLine, Outcome
from edge.config import load_config
from graphferry.cli import COMMANDS
from graphs.agents import standard
from graphs.environment import Environment
from graphs.language.check import CODES
from graphs.language.fields import FIELDS
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.loadagents import known_agents
from graphs.values import Value
from protocol.errors import FAULTS
from protocol.events import Event as LinkEvent
from protocol.messages import CATALOGUE
from protocol.session import Conn
from protocol.store import Effect
from workers import worker

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.(?:yaml|py))$", re.MULTILINE)
RUN_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")

MODEL_AGENTS = sorted(name for name, agent in standard().items() if "model" in agent.needs)
WORDS_OF_A_MODEL = re.compile(rf"\b({'|'.join(MODEL_AGENTS)})\b")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `then` are the blocks that follow with nothing but empty lines between."""

    document: Path
    line: int
    language: str
    info: str
    text: str
    then: tuple[Block, ...] = ()

    @property
    def file(self) -> str | None:
        """The name in its first line, `# name.yaml`, if it has one there."""
        match = FILE.match(self.text)
        return match[1] if match else None

    @property
    def is_graph(self) -> bool:
        return self.language == "yaml" and re.search(r"^nodes:", self.text, re.MULTILINE) is not None

    @property
    def command(self) -> list[str]:
        """The words after `graphferry` that run the graph: what is typed below it, else a plain run."""
        if self.then and self.then[0].language == "sh":
            program, *words = shlex.split(self.then[0].text)
            assert program == "graphferry"
            return words
        return ["run", self.file or "graph.yaml"]

    @property
    def result(self) -> Block | None:
        """The block that shows what comes of it."""
        for each in self.then[:2]:
            if each.language in ("json", "text"):
                return each
            if each.language != "sh":
                return None
        return None

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks(document: Path) -> list[Block]:
    """A document's blocks, in order."""
    text = document.read_text()
    found: list[Block] = []
    after = len(text)
    for match in reversed(list(FENCE.finditer(text))):
        follows = found and not text[match.end() : after].strip()
        then = (found[0], *found[0].then) if follows else ()
        line = text.count("\n", 0, match.start()) + 1
        found.insert(0, Block(document, line, match[1], match[2].strip(), match[3], then))
        after = match.start()
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
GRAPHS = [block for block in BLOCKS if block.is_graph]
RIGHT_GRAPHS = [block for block in GRAPHS if block.info != "invalid"]


@pytest.fixture
def folder(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a document's commands are typed: the tier `small` is the scripted model, and a module imported here is forgotten again."""
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("models: {small: scripted}\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def write_files(block: Block, folder: Path) -> None:
    """Put the files there that the block's document names, and the block itself."""
    for each in blocks(block.document):
        if each.file:
            (folder / each.file).write_text(each.text)
    (folder / "graph.yaml").write_text(block.text)


def has_form(value: Value, wanted: Value) -> bool:
    """Whether two values are alike but for the words and numbers in them."""
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict) and list(value) == list(wanted) and all(has_form(value[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and len(value) == len(wanted) and all(map(has_form, value, wanted))
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(wanted) and bool(value) == bool(wanted)


def typed(block: Block, cli: CommandLine) -> Outcome:
    """What comes of typing the block's command, without the progress."""
    words = block.command
    return cli(*words, *(["--progress", "quiet"] if words[0] == "run" else []))


def test_the_documents_have_graphs_and_programs_to_test() -> None:
    assert len([block for block in GRAPHS if block.result]) > 20
    assert any(block.language == "python" for block in BLOCKS)


@pytest.mark.parametrize("block", RIGHT_GRAPHS, ids=str)
def test_a_graph_in_a_document_has_no_problems(block: Block, folder: Path) -> None:
    write_files(block, folder)
    words = block.command
    modules = [words[place + 1] for place, word in enumerate(words) if word == "--agents"]
    document = load_text(block.text, file=str(block))
    graph = Graph.of(document.data, set(known_agents(modules, folder=folder)), marks=document.marks, file=document.file)
    assert graph.warnings == ()


@pytest.mark.parametrize("block", [block for block in GRAPHS if block.result], ids=str)
def test_a_graph_in_a_document_gives_what_is_shown(block: Block, folder: Path, cli: CommandLine) -> None:
    write_files(block, folder)
    wanted, outcome = block.result, typed(block, cli)
    assert wanted is not None
    said_by_a_model = WORDS_OF_A_MODEL.search(block.text) is not None and block.command[0] == "run" and outcome.status == 0
    if wanted.language == "json":
        made, right = json.loads(outcome.stdout), json.loads(wanted.text)
    else:
        made, right = RUN_ID.sub("RUN", outcome.stdout + outcome.stderr).rstrip(), wanted.text.rstrip()
    assert has_form(made, right) if said_by_a_model else made == right


def test_the_table_of_the_train_story_is_what_a_run_shows(folder: Path, cli: CommandLine) -> None:
    shown = blocks(ROOT / "docs" / "offline.md")
    (table,) = (each.text for each in shown if each.text.startswith("node "))
    write_files(next(each for each in shown if each.file == "train.yaml"), folder)
    outcome = cli("run", "train.yaml", "--offline")
    made = [" ".join(re.sub(r"\b\d+(\.\d)? m?s\b", "TIME", line).split()) for line in outcome.stderr.splitlines()]
    for line in table.splitlines():
        assert " ".join(re.sub(r"\b\d+ ms\b", "TIME", line).split()) in made
    other = cli("run", "train.yaml", "--offline", "--when-offline", "fail", "--when-offline", "second=local", "--json")
    nodes = json.loads(other.stdout)["nodes"]
    assert [nodes[name].get("degraded") for name in ("first", "second", "saved")] == ["unreachable", "unreachable", None]


@pytest.mark.parametrize("block", [block for block in GRAPHS if block.info == "invalid"], ids=str)
def test_a_graph_that_is_shown_as_invalid_is_refused(block: Block, folder: Path, cli: CommandLine) -> None:
    write_files(block, folder)
    assert block.command[0] == "check"
    assert cli(*block.command).status == 2


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_a_program_in_a_document_runs(block: Block, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(block, folder)
    program = folder / (block.file or "program.py")
    program.write_text(block.text)
    sys.path.insert(0, str(folder))
    runpy.run_path(str(program), run_name="__main__")
    if block.then and block.then[0].language == "text":
        assert capsys.readouterr().out.strip() == block.then[0].text.strip()


def test_the_policy_in_the_documents_is_one(own_home: Path, cli: CommandLine) -> None:
    (block,) = [each for each in blocks(ROOT / "docs" / "privacy.md") if each.file == "config.yaml"]
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text(block.text)
    config = load_config(Environment(io.StringIO(), io.StringIO(), io.StringIO(), cli.environ, cli.cwd))
    here = "wss://worker.example:8765/v1/link"
    may = {
        label: [place for place in (here, "big") if config.clearance.may([label], place)]
        for label in ("private", "internal", "draft")
    }
    assert may == {"private": [], "internal": [here], "draft": [here, "big"]}
    assert list(config.files.values()) == [frozenset({"private"})]


def test_the_audit_that_is_shown_is_that_of_the_run(folder: Path, own_home: Path, cli: CommandLine) -> None:
    shown = blocks(ROOT / "docs" / "privacy.md")
    write_files(next(each for each in shown if each.file == "letter.yaml"), folder)
    typed_, table = next((each.text, each.then[0].text) for each in shown if "audit RUN" in each.text)
    (own_home / "edge" / "config.yaml").write_text("models: {small: large}\n")
    with worker(own_home) as served:
        run, audit = (shlex.split(line)[1:] for line in typed_.splitlines())
        ran = cli(*(served.url if word.startswith("ws:") else word for word in run), "--json")
        assert ran.status == 0, ran.stderr
        told = cli(*(json.loads(ran.stdout)["run"] if word == "RUN" else word for word in audit)).stdout
    lines = [(line.split(), line.split()[2:]) for line in table.splitlines()[1:]]
    made = [" ".join(line.split()[2:]) for line in told.splitlines()]
    for _, words in lines:
        wanted = re.sub(r"worker ws\S+ \(\w+\)", "WORKER", " ".join(words))
        wanted = re.sub(r"\b\d+ B\b", "SIZE", wanted)
        assert wanted in [re.sub(r"\b\d+ B\b", "SIZE", re.sub(r"worker ws\S+ \(\w+\)", "WORKER", line)) for line in made], told


def test_the_story_of_a_run_and_its_fork_is_true(folder: Path, cli: CommandLine) -> None:
    document = ROOT / "docs" / "runs.md"
    ids: dict[str, str] = {}
    for block in blocks(document):
        if block.file:
            (folder / block.file).write_text(block.text)
        if block.language != "sh":
            continue
        words = shlex.split(block.text)[1:]
        told = cli(*(ids.get(word, word) for word in words), *(["--progress", "quiet"]))
        listed = [each["run"] for each in json.loads(cli("runs", "--json").stdout)]
        ids = dict(zip(("RUN", "FORK"), reversed(listed), strict=False))
        text = told.stdout + told.stderr
        for name, run in ids.items():
            text = text.replace(run, name)
        assert text.rstrip() == block.then[0].text.rstrip()
    assert len(ids) == 2


@pytest.mark.parametrize("name", ["graphferry.service", "Containerfile"])
def test_what_a_worker_is_deployed_with_is_shown_as_it_is(name: str) -> None:
    shown = [each.text for each in blocks(ROOT / "docs" / "worker.md") if each.text.startswith(f"# deploy/{name}")]
    lines = (ROOT / "deploy" / name).read_text(encoding="utf-8").splitlines()
    kept = lines[1:] if lines[0].startswith("#") else lines
    assert [each.splitlines()[1:] for each in shown] == [kept]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this system has no systemd-analyze")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "graphferry.service").read_text(encoding="utf-8")
    unit = tmp_path / "graphferry.service"
    unit.write_text(
        text.replace("/opt/graphferry/bin/graphferry", "/bin/true").replace("User=ferry", "User=root"), encoding="utf-8"
    )
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_workers_configuration_in_the_documents_is_one(tmp_path: Path) -> None:
    (block,) = [each for each in blocks(ROOT / "docs" / "worker.md") if each.language == "yaml"]
    (tmp_path / "worker.yaml").write_text(block.text)
    config = load_worker_config(tmp_path / "worker.yaml")
    assert set(config.accounts) == {"default", "alice"}
    assert config.accounts["alice"].tokens["ci"] == "sha256:" + hashlib.sha256(b"test").hexdigest()


def test_commands_for_worker_and_device_are_typed_as_they_are_understood() -> None:
    found = 0
    for block in blocks(ROOT / "docs" / "worker.md"):
        text = re.sub(r"ENTRYPOINT \[(.*)\]", lambda match: match[1].replace('"', "").replace(",", ""), block.text)
        for name, rest in re.findall(r"graphferry (serve|pair)\b(.*)", text):
            parser = argparse.ArgumentParser()
            import_module(COMMANDS[name].module).add_arguments(parser)
            parser.parse_args(shlex.split(rest))
            found += 1
    assert found >= 8


def test_every_agent_is_in_the_catalogue() -> None:
    text = (ROOT / "docs" / "agents.md").read_text()
    assert [name for name in standard() if f"`{name}`" not in text] == []


def test_the_states_of_the_link_are_those_of_the_session() -> None:
    """When this fails: make vectors."""
    tool: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "states_doc.py"))
    document = tool["DOCUMENT"].read_text(encoding="utf-8")
    assert document == tool["with_states"](document)


def test_the_session_has_the_doors_that_the_protocol_shows() -> None:
    """Names and parameters, in their order; what a property gives is for people."""
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").split("class Conn:")[1].split("# Event =")[0]
    shown: dict[str, Any] = {}
    for line in (each.partition("#")[0].strip() for each in text.splitlines()):
        if call := re.match(r"def (\w+)\((.*?)\)", line.replace("=()", "").replace("=None", "")):
            shown[call[1]] = [each for each in call[2].split(", ") if each]
        elif line:
            shown |= dict.fromkeys(line.partition(":")[0].split(", "))
    there: dict[str, Any] = {"effects": [], "committed": ["count"]}
    for name, door in inspect.getmembers(Conn):
        if inspect.isfunction(door) and (name == "__init__" or not name.startswith("_")):
            there[name] = list(inspect.signature(door).parameters)[1:]
        elif isinstance(door, property):
            there[name] = None
    assert shown == there


def test_the_protocol_shows_every_event_fault_and_message() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    events = text.split("# Event = ")[1].split(";")[0].replace("#", "").replace("\n", "")
    assert {each.strip() for each in events.split("|")} == {each.__name__ for each in get_args(LinkEvent)}
    effects = text.split("# Effect = ")[1].split(";")[0]
    assert {each.strip() for each in effects.split("|")} == {each.__name__ for each in get_args(Effect)}
    rows = [line for line in text.split("| code | retryable |")[1].split("\n\n")[0].splitlines() if line.count("|") == 4]
    said = " ".join(row.split("|")[1] for row in rows)
    said = re.sub(r"(\w+)\{(.*?)\}", lambda each: " ".join(each[1] + name for name in each[2].split(", ")), said)
    assert [each for each in FAULTS if not re.search(rf"\b{each}\b", said) and not each.startswith("LIMIT_")] == []
    assert [each for each in FAULTS if each.startswith("LIMIT_") and each not in text] == []
    for kind in CATALOGUE.values():
        assert re.search(rf"\b{kind.name}\b", text.split("## 5 Message catalogue")[1].split("## 6 ")[0]), kind.name


def test_the_catalogue_is_what_the_registry_says() -> None:
    """When this fails: python tools/agents_doc.py."""
    tool: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "agents_doc.py"))
    text = (ROOT / "docs" / "agents.md").read_text()
    assert tool["with_catalogue"](text) == text


def test_every_attribute_is_explained() -> None:
    text = (ROOT / "docs" / "language.md").read_text()
    assert [field.name for field in FIELDS if f"`{field.name}" not in text] == []


def test_what_is_reserved_is_said_to_be() -> None:
    text = (ROOT / "docs" / "language.md").read_text()
    reserved = text[text.index("## Reserved words") :]
    reserved = reserved[: reserved.index("\n## ")]
    assert [field.name for field in FIELDS if (field.status != "works") != (f"`{field.name}`" in reserved) and field.ours] == []


def test_every_problem_has_its_line_in_the_table_and_no_other_has() -> None:
    text = (ROOT / "docs" / "language.md").read_text()
    assert dict(re.findall(r"^\| (GF1\d\d) \| ([^|]+?) \|", text, re.MULTILINE)) == dict(CODES)


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text()
    assert [name for name in COMMANDS if f"`graphferry {name}" not in text] == []


def test_every_difference_from_graphai_is_stated_where_its_users_look() -> None:
    for name in ("graph-spec.md", "graphai.md"):
        text = (ROOT / "docs" / name).read_text()
        stated = set(re.findall(r"\bD(\d+)\b", text))
        assert {str(number) for number in range(1, 33)} <= stated, name
