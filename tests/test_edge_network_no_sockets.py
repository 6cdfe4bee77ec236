"""`--local-only`: no socket is opened at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from conftest import CommandLine
from edge.network.no_sockets import no_sockets
from graphs.errors import LinkCondition


def test_inside_it_nothing_opens_a_socket_and_outside_everything_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with no_sockets():
            with no_sockets(), pytest.raises(LinkCondition, match="--local-only"):
                socket.create_connection(address)
            with pytest.raises(LinkCondition):
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with pytest.raises(LinkCondition):
                socket.getaddrinfo("localhost", 80)
        socket.create_connection(address).close()


def test_other_threads_open_none_either_and_pairs_stay() -> None:
    found: list[BaseException] = []

    def work() -> None:
        try:
            socket.socket()
        except LinkCondition as error:
            found.append(error)

    with no_sockets():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for each in socket.socketpair():
            each.close()
    assert len(found) == 1


GRAPH = """\
version: 0.5
nodes:
  letter: {value: tide, sensitivity: private}
  said: {agent: llmAgent, model: small, isResult: true, inputs: {prompt: ":letter"}}
  rude: {agent: rudeAgent, isResult: true}
  name: {value: vanillaFetchAgent}
  fetched: {agent: ":name", isResult: true, inputs: {url: "http://127.0.0.1:9/"}}
  chosen: {agent: llmAgent, isResult: true, inputs: {prompt: hi, model: ":which"}}
  which: {value: near}
"""
AGENTS = """\
import socket, urllib.request
from graphferry import agent

@agent("rudeAgent", effect="none", blocking=True)
def rude(context):
    return urllib.request.urlopen("http://127.0.0.1:9/").read()
"""


@pytest.fixture
def tried() -> Iterator[list[Any]]:
    """The sockets that were made meanwhile: none."""
    made: list[Any] = []
    real = socket.socket.__init__

    def note(self: socket.socket, family: int = -1, *args: Any, **more: Any) -> None:
        real(self, family, *args, **more)
        if self.family != socket.AF_UNIX:
            made.append(self)

    with patch.object(socket.socket, "__init__", note):
        yield made


def test_a_run_opens_no_socket_whatever_its_agents_try(
    cli: CommandLine, own_home: Path, tmp_path: Path, tried: list[Any]
) -> None:
    (own_home / "edge").mkdir()
    near = {"url": "http://127.0.0.1:9/v1", "model": "m", "on_device": True}
    config = {"models": {"small": "scripted", "near": near}, "cloud": {"url": "ws://127.0.0.1:9"}, "sync": True}
    (own_home / "edge" / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "g.yaml").write_text(GRAPH)
    (tmp_path / "rude.py").write_text(AGENTS)
    outcome = cli("run", "g.yaml", "--local-only", "--agents", "rude.py", "--json")
    report = json.loads(outcome.stdout)
    assert report["results"]["said"]["text"] == "You said: tide"
    assert {name: each["code"] for name, each in report["errors"].items()} == dict.fromkeys(
        ("rude", "fetched", "chosen"), "UNREACHABLE"
    )
    assert report["status"] == "suspended"
    resumed = json.loads(cli("resume", report["run"], "--local-only", "--json").stdout)
    assert resumed["status"] == "suspended"
    assert tried == []


@pytest.mark.parametrize(("command", "inside"), [("run", False), ("plan", False), ("run", True)])
def test_an_agent_that_needs_the_network_is_refused_before_the_run(
    cli: CommandLine, tmp_path: Path, command: str, inside: bool
) -> None:
    page = '{agent: vanillaFetchAgent, isResult: true, params: {url: "http://127.0.0.1:9/"}}'
    node = f"{{agent: nestedAgent, inputs: {{}}, graph: {{nodes: {{page: {page}}}}}}}" if inside else page
    (tmp_path / "g.yaml").write_text(f"version: 0.5\nnodes:\n  a: {node}\n")
    outcome = cli(command, "g.yaml", "--local-only")
    assert outcome.status == 2
    assert "node 'a' uses the network (" in outcome.stderr
    assert "--local-only forbids that" in outcome.stderr


def test_a_model_behind_a_server_is_refused_before_the_run_on_this_machine_too(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (own_home / "edge").mkdir()
    near = {"url": "http://127.0.0.1:9/v1", "model": "m", "on_device": True}
    (own_home / "edge" / "config.yaml").write_text(json.dumps({"models": {"near": near}}))
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: llmAgent, model: near, inputs: {prompt: hi}}\n")
    outcome = cli("run", "g.yaml", "--local-only")
    assert outcome.status == 2
    assert "behind a server, and --local-only forbids that" in outcome.stderr
