"""Secrets are names: what they stand for is in no journal, no file beside it, no message, no event and no export of a run, on either side."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import CommandLine
from graphs.journal.reader import Reader
from logbook import runs
from model_server import Asked, Behaviour, Connection, answering, serving
from processes import graphferry, serve

SECRETS = {
    "DEVICE_KEY": "sk-device-4711-Zaphod",
    "WORKER_KEY": "sk-worker-0815-Trillian",
    "GRAPHFERRY_TOKEN": "open-sesame-6174-Marvin",
}

GRAPH = """\
version: 0.5
nodes:
  word: {value: tide}
  here: {agent: llmAgent, model: near, isResult: true, params: {max_tokens: 4}, inputs: {prompt: :word}}
  there: {agent: llmAgent, model: far, isResult: true, params: {max_tokens: 4}, inputs: {prompt: :here.text}}
"""


def _echo(asked: Asked) -> str:
    return f"you sent {asked.headers.get('authorization')} as your key"


async def forbidding(asked: Asked, connection: Connection) -> None:
    await connection.whole(401, {"error": {"message": _echo(asked), "code": "invalid_api_key"}})


async def failing(asked: Asked, connection: Connection) -> None:
    await connection.whole(400, {"error": {"message": _echo(asked)}})


async def breaking(asked: Asked, connection: Connection) -> None:
    """Says what is wrong in the middle of its answer."""
    await connection.head()
    await connection.event({"error": {"message": _echo(asked), "code": 500}})
    await connection.end()


async def babbling(asked: Asked, connection: Connection) -> None:
    await connection.whole(200, f"<html>{_echo(asked)}</html>", kind="text/html")


@pytest.fixture(params=[answering, forbidding, failing, breaking, babbling])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    behaviour: Behaviour = request.param
    with serving(behaviour) as server:
        yield server.url
        if behaviour is answering:
            sent = {asked.headers["authorization"].removeprefix("Bearer ") for asked in server.asked}
            assert sent == {SECRETS["DEVICE_KEY"], SECRETS["WORKER_KEY"]}, "the keys were sent to whom they are for"


def forms(secret: str) -> Iterator[bytes]:
    """How a secret may stand somewhere."""
    data = secret.encode()
    yield data
    yield data[4:]  # without the beginning that every key has
    yield data.hex().encode()
    for shift in range(3):  # as a part of something in base64
        yield base64.b64encode(bytes(shift) + data)[4:-4]


def search(place: str, data: bytes) -> None:
    for name, secret in SECRETS.items():
        for form in forms(secret):
            assert form not in data, f"{name} is in {place}"


@pytest.mark.slow
def test_what_a_secret_stands_for_is_nowhere(cli: CommandLine, own_home: Path, tmp_path: Path, url: str) -> None:
    (own_home / "edge").mkdir()
    config = f"models:\n  near: {{url: '{url}', model: one, key: {{secret: DEVICE_KEY}}}}\ncloud: {{grace: 0.2}}\n"
    (own_home / "edge" / "config.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "g.yaml").write_text(GRAPH, encoding="utf-8")
    far = f"{{far: {{url: '{url}', model: one, key: {{secret: WORKER_KEY}}}}}}"
    token = {"GRAPHFERRY_TOKEN": SECRETS["GRAPHFERRY_TOKEN"]}
    texts: dict[str, str] = {}
    with serve(home=own_home, cwd=tmp_path, models=far, WORKER_KEY=SECRETS["WORKER_KEY"], **token) as worker:
        words = ("--cloud", worker.url, "--progress", "json", "--all")
        mine = {"DEVICE_KEY": SECRETS["DEVICE_KEY"], **token}
        ran = graphferry("--debug", "run", "g.yaml", *words, "--json", home=own_home, cwd=tmp_path, **mine)
        (run,) = (row.run.hex() for row in runs(own_home, "edge") if row.role == "root")
        resumed = graphferry("--debug", "resume", run, *words, home=own_home, cwd=tmp_path, **mine)
        texts |= {"stdout of resume": resumed.stdout, "stderr of resume": resumed.stderr}
        for name, command in {
            "show": ("show", run, "--json"),
            "export": ("export", run, "--out", "kept.gfrun"),
            "fork": ("fork", run),
        }.items():
            outcome = cli("runs", *command)
            texts |= {f"stdout of {name}": outcome.stdout, f"stderr of {name}": outcome.stderr}
        worker.kill()
    assert "here" in ran.stderr
    texts |= {"stdout of run": ran.stdout, "stderr of run": ran.stderr}
    for place, text in texts.items():
        search(place, text.encode())
    files = [path for folder in (own_home, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert {"journal.db", "kept.gfrun"} <= {path.name for path in files}
    for path in files:
        search(str(path), path.read_bytes())
    for side in ("edge", "cloud"):
        reader = Reader(own_home / side / "journal.db")
        for row in reader.runs():
            for writer in reader.writers(row.run):
                for entry in reader.entries(row.run, writer):
                    search(f"record {entry.seq} at the {side}", entry.tail)
        reader._reader.close()
    with pytest.raises(AssertionError, match="DEVICE_KEY is in here"):
        search("here", b"..." + base64.b64encode(b"x" + SECRETS["DEVICE_KEY"].encode()))
