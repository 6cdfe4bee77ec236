"""A client in another language, written from the document: it passes the vectors and completes a run against a real worker process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from graphs.records import Close, End, Input, Submit, chain, encode
from logbook import entries, made
from processes import serve

CLIENT = Path(__file__).parents[1] / "wire" / "js"
REQUIRED = os.environ.get("GRAPHFERRY_REQUIRE_NODE") == "1"
"""Set in CI: there, a machine without Node is a failure."""
PATIENCE = 120.0


@pytest.fixture(scope="module")
def client() -> Path:
    """The folder of the client, its packages installed."""
    problem = _install()
    if problem is not None:
        if REQUIRED:
            pytest.fail(problem)
        pytest.skip(f"the second-language check did not run: {problem}")
    return CLIENT


def _install() -> str | None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not here (on Debian: apt-get install nodejs npm)"
    lock, installed = CLIENT / "package-lock.json", CLIENT / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return None
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"npm could not install its packages within {PATIENCE:g} s"
    return None if done.returncode == 0 else f"npm could not install its packages: {done.stderr[-500:]}"


def node(client: Path, *words: str, **environ: str) -> str:
    """What a program of the client prints."""
    variables = {**os.environ, **environ}
    done = subprocess.run(
        ["node", *words],
        cwd=client,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def journal_of(path: Path, log: str) -> list[tuple[int, str]]:
    """Type and bytes of each record of one log in the client's journal."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["type"], line["tail"]) for line in lines if line["log"] == log]


def test_the_client_passes_the_vectors(client: Path) -> None:
    assert node(client, "vectors.mjs").endswith("graph: all hold\n")


@pytest.mark.parametrize("line", ["cut", "steady"])
def test_the_client_completes_a_run_at_a_worker(client: Path, own_home: Path, tmp_path: Path, line: str) -> None:
    journal = tmp_path / "client.jsonl"
    with serve("--token-file", "token", home=own_home, cwd=_with_token(tmp_path)) as worker:
        words = ["run.mjs", worker.url, str(journal), *(["steady"] if line == "steady" else [])]
        said: dict[str, Any] = json.loads(node(client, *words, GRAPHFERRY_TOKEN="correct horse"))
        draft = "You said: Draft the tide by moon, sun, water"
        assert said["results"] == {"draft": draft, "critique": draft, "final": f"You said: {draft}"}
        assert (said["errors"], said["end"], said["connections"]) == ([], 0, 2 if line == "cut" else 1)
        if line == "steady":
            assert said["text"] == f"You said: {draft}"
        else:
            assert said["welcomes"][1][0][0] == "device"
    records = [(writer, record) for row, writer, record in entries(own_home, "cloud") if row.run.hex() == said["run"]]
    store = records[0][0]
    up = [encode(record) for writer, record in records if writer == store]
    down = [encode(record) for writer, record in records if writer != store]
    assert [type(record) for writer, record in records if writer == store] == [Submit, Input, Close]
    assert [type(record) for writer, record in records if writer != store][-1] is End
    for log, kept in (("device", up), ("worker", down)):
        assert journal_of(journal, log) == [(each.type, each.tail.hex()) for each in kept], "both ends hold the same bytes"
    for chk, kept in zip(said["chks"], (up, down), strict=True):
        found = 0
        for each in kept:
            found = chain(found, each.type, each.tail)
        assert chk == found
    assert sorted(path for path, _ in made(own_home, "cloud")) == ["critique", "draft", "final"]


def _with_token(folder: Path) -> Path:
    (folder / "token").write_text("correct horse\n")
    return folder
