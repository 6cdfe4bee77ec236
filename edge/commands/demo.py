"""`graphferry demo`: a small graph on a real model here, its heavy node on a worker of its own beside it.

The worker is a real one: a process of its own, reached over the link like any other. It serves the same model file under the
name `large`, so that the demonstration needs one download; what is shown is the way the graph takes, not the wit of the answer.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from edge.commands.options import run_options
from edge.commands.running import carry_out
from edge.config import load_config
from edge.device import open_device
from edge.runs.runner import run_graph
from edge.showing.progress import MODES, open_progress
from graphs.environment import Environment
from graphs.errors import GraphferryError, UsageError
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.models.files.store import DEFAULT_MODEL, ModelStore

__all__ = ["add_arguments", "main"]

_NAME = "demo.yaml"
_START_SECONDS = 30.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--scripted", action="store_true", help="use scripted models: nothing to install, nothing to load")
    parser.add_argument("--json", action="store_true", help="print one JSON object about the run")
    parser.add_argument("--progress", choices=MODES, default="auto", help="how the run is shown on stderr")


def main(args: Namespace, env: Environment) -> int:
    text = resources.files("graphs.examples").joinpath(_NAME).read_text(encoding="utf-8")
    scripted = args.scripted or not _model_is_here(env)
    config = load_config(env)
    models = {"small": "scripted"} if scripted else {"small": DEFAULT_MODEL}
    with (
        tempfile.TemporaryDirectory(prefix="graphferry-demo-") as folder,
        _worker(Path(folder), env, scripted=scripted) as (url, token),
    ):
        namespace = Namespace(
            cloud=url,
            offline=False,
            local_only=False,
            deadline="10m",
            durability="group",
            max_turns=None,
            untrusted=False,
            when_offline=[],
            limit=[],
            grant=[],
            agents=[],
            all=False,
            **vars(args),
        )
        options = run_options(namespace, config, token=token)
        with (
            open_progress("quiet" if args.json and args.progress == "auto" else args.progress, env) as progress,
            open_device(env, config, tiers=models, emit=progress.heard) as device,
        ):
            document = load_text(text, file=_NAME)
            graph = Graph.of(document.data, set(device.agents), marks=document.marks, file=_NAME)
            status = carry_out(
                run_graph(device, graph, options, name=_NAME, source=text), device, progress, args=namespace, env=env
            )
    if status == 0 and not args.json:
        env.stderr.write(_NEXT + _activation(env))
    return status


_NEXT = """
That was a graph whose light nodes ran here and whose heavy nodes ran on a worker. Next:
  graphferry runs                          the runs on this device
  graphferry serve                         a worker to ferry work to
  graphferry run GRAPH.yaml --cloud URL    a graph of your own
"""


def _activation(env: Environment) -> str:
    """What makes `graphferry` a command of the shell that this was called from, where it is none."""
    activate = Path(sys.prefix, "bin", "activate")
    if shutil.which("graphferry", path=env.environ.get("PATH", "")) is not None or not activate.is_file():
        return ""
    shown = activate.relative_to(env.cwd) if activate.is_relative_to(env.cwd) else activate
    return f"after this, once in each shell:\n  . {shown}\n"


def _model_is_here(env: Environment) -> bool:
    """Whether the real model can be used; says aloud what is used instead, and how to change that."""
    import importlib.util

    if importlib.util.find_spec("llama_cpp") is None:
        env.stderr.write(
            "llama.cpp is not installed (pip install 'graphferry[llama]'): using scripted models, which say back what they are told\n"
        )
        return False
    try:
        ModelStore(env.home("models")).find(DEFAULT_MODEL)
    except GraphferryError as error:
        env.stderr.write(f"{error}\nusing scripted models, which say back what they are told\n")
        return False
    return True


@contextmanager
def _worker(folder: Path, env: Environment, *, scripted: bool) -> Iterator[tuple[str, str]]:
    """A worker process on the loopback interface, for as long as the demonstration lasts; its URL and token."""
    import secrets

    token = secrets.token_urlsafe(24)
    config = folder / "worker.yaml"
    config.write_text(
        "models: {large: {scripted: true}}\n" if scripted else f"models: {{large: {{model: {DEFAULT_MODEL}}}}}\n",
        encoding="utf-8",
    )
    variables = {**env.environ, "GRAPHFERRY_TOKEN": token}
    command = [sys.executable, "-m", "graphferry", "serve", "--port", "0", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=variables, cwd=env.cwd, text=True)
    try:
        assert process.stdout is not None
        line = asyncio.run(_first_line(process))
        if not line.startswith("ws://"):
            raise UsageError(
                f"the demonstration's worker did not start (it said {line!r})", hint="Try it alone: graphferry serve"
            )
        yield line, token
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), _START_SECONDS)
    except TimeoutError:
        process.kill()  # ends the read, too
        return ""
    return line.strip()
