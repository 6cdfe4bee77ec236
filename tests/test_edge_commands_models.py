"""`graphferry models`: what it shows, takes in and measures."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine, Terminal
from graphs.models.files.fetch import DEFAULT_MODEL
from graphs.models.files.store import ModelStore
from model_fakes import tiny_gguf


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A folder of files, served on the loopback interface."""
    (tmp_path / "served").mkdir()
    handler = partial(_Quiet, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def rows(cli: CommandLine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli("models", "--json").stdout)
    return found


def test_without_models_the_command_that_gets_one_is_named(cli: CommandLine) -> None:
    outcome = cli("models")
    assert outcome.status == 0
    assert f"graphferry models get {DEFAULT_MODEL}" in outcome.stdout
    assert rows(cli) == []


def test_the_table_says_what_is_known_of_files_and_servers(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    tiny_gguf(tmp_path / "mine.gguf", general__license="mit")
    tiny_gguf(tmp_path / "long.gguf", llama__context_length=8192)
    assert "4096 of 8192" in cli("models", "add", "long.gguf", "--name", "a-long-one").stdout
    added = cli("models", "add", "mine.gguf")
    assert added.status == 0
    tiny_gguf(own_home / "models" / "by-hand.gguf")
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("models: {large: {url: 'http://h:1/v1', model: big, context: 99}}\n")
    lines = cli("models").stdout.splitlines()
    assert lines[0].split() == ["name", "licence", "type", "size", "context", "loaded", "RAM", "tok/s", "file"]
    assert [line.split()[0] for line in lines[1:]] == ["a-long-one", "by-hand", "mine", "large"]
    assert lines[3].split()[1:3] == ["mit", "Q4_0"]
    assert lines[4].split()[-1] == "http://h:1/v1"
    _, by_hand, mine, large = rows(cli)
    assert (mine["licence"], mine["context"], mine["loaded"], mine["tokens_per_second"]) == ("mit", 512, [], None)
    assert mine["ram"] > mine["size"]
    assert (mine["context_here"], by_hand["context_here"], large["context_here"]) == (512, 4096, None)
    assert (by_hand["sha256"], large["url"], large["context"], large["path"]) == (None, "http://h:1/v1", 99, None)
    assert list(mine) == list(by_hand)
    assert set(large) == set(mine)


def test_a_model_is_fetched_by_address_with_its_hash_looked_at(cli: CommandLine, tmp_path: Path, address: str) -> None:
    path = tiny_gguf(tmp_path / "served" / "tiny.gguf", general__license="mit")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    wrong = cli("models", "get", f"{address}/tiny.gguf@{'0' * 64}", "--quant", "none")
    assert (wrong.status, rows(cli)) == (2, [])
    assert digest in wrong.stderr
    outcome = cli("models", "--json", "get", f"{address}/tiny.gguf@{digest}", "--quant", "none", "--name", "small.one")
    assert outcome.status == 0, outcome.stderr
    got = json.loads(outcome.stdout)
    assert (got["name"], got["sha256"], got["licence"], got["source"]) == ("small.one", digest, "mit", f"{address}/tiny.gguf")
    assert f"getting {address}/tiny.gguf ..." in outcome.stderr
    assert f"small.one has the sha256 {digest}" in outcome.stderr
    assert "nobody vouches" not in outcome.stderr
    unnamed = cli("models", "get", f"{address}/tiny.gguf", "--quant", "none", "--name", "other")
    assert "this address is not encrypted, and no SHA-256 was named" in unnamed.stderr
    assert cli("models", "get", f"{address}/nothing.gguf", "--quant", "none").status == 2
    unknown = cli("models", "get", "nothing", "--quant", "none")
    assert unknown.status != 0
    assert "fetched by its name, as smollm2-135m is" in unknown.stderr
    assert "models get URL[@SHA256]" in unknown.stderr
    assert [row["name"] for row in rows(cli)] == ["other", "small.one"]


def test_progress_is_shown_in_place_on_a_terminal(own_home: Path, tmp_path: Path, address: str) -> None:
    tiny_gguf(tmp_path / "served" / "tiny.gguf", filler="x" * 200_000)
    cli = CommandLine({"GRAPHFERRY_HOME": str(own_home), "TERM": "xterm"}, tmp_path, Terminal)
    assert "\rtiny: 0.2 of 0.2 MB" in cli("models", "get", f"{address}/tiny.gguf", "--quant", "none").stderr


def test_what_cannot_be_taken_in_leaves_nothing(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    for words in (["import", "a.txt"], ["import", "nowhere.gguf"], ["add", "a.txt"], ["get", "x@1"], ["bench", "nobody"]):
        assert cli("models", *words).status != 0, words
    assert rows(cli) == []


def test_bench_is_for_files(cli: CommandLine) -> None:
    assert "no models in" in cli("models", "bench").stderr
    assert "scripted is not a file of this device" in cli("models", "bench", "scripted").stderr


@pytest.mark.real_model
@pytest.mark.usefixtures("home_with_model")
def test_a_real_model_is_taken_in_measured_and_answers(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    source = ModelStore().find(DEFAULT_MODEL).path
    other = tmp_path / "other"
    elsewhere = {"GRAPHFERRY_HOME": str(other)}
    outcome = cli("models", "--json", "import", str(source), "--name", "tiny", "--quant", "q4_0", **elsewhere)
    assert outcome.status == 0, outcome.stderr
    taken = json.loads(outcome.stdout)
    assert (taken["quantisation"], taken["licence"]) == ("Q4_0", "apache-2.0")
    assert taken["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert "writing anew: " in outcome.stderr
    assert taken["source_sha256"] in outcome.stderr
    (measured,) = json.loads(cli("models", "--json", "bench", "tiny", **elsewhere).stdout)
    assert measured["tokens_per_second"] > 0
    assert measured["prompt_per_second"] > 0
    (row,) = json.loads(cli("models", "--json", **elsewhere).stdout)
    assert (row["tokens_per_second"], row["measured"], row["loaded"]) == (measured["tokens_per_second"], measured["measured"], [])
