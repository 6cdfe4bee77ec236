"""Running a graph on device and worker together: the device is the command line in this process, the worker a thread of it; between them
a tap keeps every byte.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

from conftest import CommandLine, Outcome
from graphs.models.scripted import ScriptedModel
from wiretap import Connection, tap
from workers import worker

__all__ = ["FERRY", "MINE", "FakeServer", "Ferry", "report"]

MINE = ("--agents", "gate_agents.py")

FERRY = """\
version: 0.5
nodes:
  topic: {value: the tide}
  outline: {agent: llmAgent, model: scripted, inputs: {prompt: "Outline ${:topic}"}}
  draft: {agent: llmAgent, model: large, inputs: {prompt: :outline.text}}
  edit: {agent: stringTemplateAgent, place: edge, params: {template: "edited ${t}"}, inputs: {t: :draft.text}}
  final: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :edit}}
"""


def report(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


class Ferry:
    """Runs a graph with a worker: `ferry(text, *words)`."""

    def __init__(self, cli: CommandLine, home: Path, cwd: Path) -> None:
        self.cli = cli
        self.home = home
        self.cwd = cwd
        self.connections: list[Connection] = []

    def __call__(self, text: str, *words: str, models: tuple[str | ScriptedModel, ...] = ("large",)) -> dict[str, Any]:
        (self.cwd / "g.yaml").write_text(text, encoding="utf-8")
        with worker(self.home, models=models, agents=("gate_agents.py",), folder=self.cwd) as served, tap(served.url) as line:
            outcome = self.cli("run", "g.yaml", "--cloud", line.url, "--json", *MINE, *words)
            self.connections = line.connections
        self.outcome = outcome
        return report(outcome) if outcome.stdout else {}


class FakeServer:
    """Answers every request with one HTTP status, and counts them."""

    def __init__(self, answer: str) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/v1/link"
        self.asked: list[bytes] = []
        self._answer = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(65536)
                if not asked:
                    continue
                self.asked.append(asked)
                connection.sendall(self._answer)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
