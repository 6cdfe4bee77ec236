"""The command `graphferry`: finds the module of a command, hands it its arguments, and turns errors into an exit status.

Only the table of commands is known here. A command's module is imported when it runs and defines
`add_arguments(parser: ArgumentParser) -> None` and `main(args: Namespace, env: Environment) -> int`; one whose options depend on what
it is given also `add_more_arguments(parser, words, env) -> None`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from graphferry import __version__

if TYPE_CHECKING:
    from graphs.environment import Environment

__all__ = ["COMMANDS", "PLANNED", "Command", "main"]


class Command(NamedTuple):
    """Where a command lives, and what it does in one line."""

    module: str
    help: str


COMMANDS = {
    "demo": Command("edge.commands.demo", "run a small graph on a real model, with a worker beside it"),
    "run": Command("edge.commands.run", "run a graph"),
    "check": Command("edge.commands.check", "report every problem of a graph, each with its line; run nothing"),
    "plan": Command("edge.commands.plan", "say where each node of a graph would run, why, and what it takes; run nothing"),
    "graph": Command("edge.commands.graph", "draw a graph: text, SVG, Mermaid or Graphviz; run nothing"),
    "schema": Command("edge.commands.schema", "print the JSON Schema of graphs, for editors"),
    "new": Command("edge.commands.new", "write a small graph to start from, and its schema"),
    "runs": Command("edge.commands.runs", "list the runs of this device, or show one"),
    "audit": Command("edge.commands.audit", "show what left this device in a run, to whom, and why it might"),
    "resume": Command("edge.commands.resume", "go on with a run that was suspended, interrupted or cut off"),
    "answer": Command("edge.commands.answer", "answer what runs ask people, or list it"),
    "sync": Command("edge.commands.sync", "bring this device and its worker in step: runs that wait go on, results come in"),
    "calibrate": Command("edge.commands.calibrate", "set from past runs how sure a small model must be not to ask a larger one"),
    "models": Command("edge.commands.models", "list the models of this device; get, import or measure one"),
    "pair": Command("edge.commands.pair", "pair this device with a worker, by a code that the worker prints"),
    "serve": Command("cloud.commands.serve", "start a worker that devices can ferry work to"),
    "completion": Command("graphferry.completion", "print the script by which bash, zsh or fish completes all this"),
    "vectors": Command("edge.commands.vectors", "print the link's test vectors, or check them against this version"),
}

PLANNED = frozenset({"doctor", "ui"})
"""Commands that are designed but not built: naming one deserves a better answer than "unknown"."""


def main(argv: Sequence[str] | None = None, env: Environment | None = None) -> int:
    """Runs one command and returns its exit status.

    `argv` are the words after `graphferry`, by default those of this process, and `env` what the command sees of the world.
    """
    if argv is None and env is None:
        return _in_a_process_of_its_own()
    words = list(sys.argv[1:] if argv is None else argv)
    if env is None and words == ["--version"]:  # asked by scripts, often: it waits for no other import
        sys.stdout.write(f"graphferry {__version__}\n")
        return 0
    from graphferry.layers import require_own_layers

    try:
        require_own_layers()
    except ImportError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    from graphferry.failures import report
    from graphs.environment import Environment

    if env is None:
        from graphferry.streams import make_usable

        make_usable()
        try:
            env = Environment.current()
        except FileNotFoundError:
            sys.stderr.write("error: the current folder is not there any more\n  Change to another one: cd\n")
            return 1
    words, debug = _without_debug(words)
    try:
        status = _dispatch(words, env)
        env.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever a command raises becomes one message
        status = report(error, env, debug=debug or env.debug)
    return int(status)


_SELDOM: Final = 10_000
"""New objects after which Python's collector looks at them; its own number is 700, and most of what a command makes stays."""


def _in_a_process_of_its_own() -> int:
    gc.set_threshold(_SELDOM, *gc.get_threshold()[1:])
    try:
        return main(sys.argv[1:])
    except KeyboardInterrupt:  # before there was anything to interrupt: while modules were imported
        return 130
    finally:
        gc.freeze()  # the process ends: nobody needs to look through what is left


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """The words without `--debug`, which may stand anywhere before `--`, and whether it was there."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _dispatch(words: list[str], env: Environment) -> int:
    from graphferry.usage import UNKNOWN_OPTION_HINT, overview, unknown_command
    from graphs.environment import ExitStatus
    from graphs.errors import UsageError

    if not words:
        env.stderr.write(overview(COMMANDS))
        return ExitStatus.USAGE
    name, *rest = words
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("-h", "--help", "help"):
        env.stdout.write(overview(COMMANDS))
        return ExitStatus.COMPLETED
    if name == "--version":
        env.stdout.write(f"graphferry {__version__}\n")
        return ExitStatus.COMPLETED
    if name in COMMANDS:
        return _run_command(name, rest, env)
    if name in PLANNED:
        raise UsageError(f"`graphferry {name}` is not yet in this version ({__version__})")
    if name.startswith("-"):
        raise UsageError(f"unknown option {name}", hint=UNKNOWN_OPTION_HINT)
    raise unknown_command(name, [*COMMANDS, *PLANNED])


def _run_command(name: str, words: list[str], env: Environment) -> int:
    from contextlib import redirect_stdout
    from importlib import import_module

    from graphferry.words import Words

    command = COMMANDS[name]
    module = import_module(command.module)
    parser = Words(prog=f"graphferry {name}", description=command.help[0].upper() + command.help[1:] + ".")
    module.add_arguments(parser)
    if hasattr(module, "add_more_arguments"):  # options that depend on what the words name
        module.add_more_arguments(parser, words, env)
    try:
        with redirect_stdout(env.stdout):  # argparse prints help there
            args = parser.parse_args(words)
    except SystemExit as done:  # argparse's way to say that `--help` was answered
        return done.code if isinstance(done.code, int) else 0
    return int(module.main(args, env))
