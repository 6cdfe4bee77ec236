"""What `graphferry --help` says, and what is said of a command that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from graphs.environment import ExitStatus
from graphs.errors import UsageError

if TYPE_CHECKING:
    from graphferry.cli import Command

__all__ = ["UNKNOWN_OPTION_HINT", "VARIABLES", "overview", "unknown_command"]

UNKNOWN_OPTION_HINT = "graphferry --help lists the commands; options of a command follow its name"

VARIABLES: Final[Mapping[str, str]] = {
    "GRAPHFERRY_HOME": "the folder that holds all of graphferry's files",
    "GRAPHFERRY_CLOUD": "the worker's link URL, unless --cloud names one",
    "GRAPHFERRY_TOKEN": "its token, for devices that are not paired; for `serve`, the worker's own",
    "GRAPHFERRY_DEBUG": "1 shows the stack trace of an error",
    "NO_COLOR": "anything switches colours off",
}
"""What a user may set; `--help` lists it."""


def overview(commands: Mapping[str, Command]) -> str:
    """The help of the whole command line."""
    width = max(map(len, commands))
    lines = [
        "usage: graphferry [--version] [--help] [--debug] COMMAND ...",
        "",
        "Runs agent graphs on this device, offline if it must, and ferries the heavy part of a",
        "graph to a worker when it may.",
        "",
        "commands:",
        *(f"  {name:<{width}}  {command.help}" for name, command in commands.items()),
        "",
        "  graphferry COMMAND --help shows the options of a command.",
        "",
        "options:",
        "  --version  print the version",
        "  --debug    show the stack trace of an error",
        "",
        "exit status:",
        *(f"  {status.value:>3}  {status.meaning}" for status in ExitStatus),
        "",
        "environment:",
        *(f"  {name:<16}  {what}" for name, what in VARIABLES.items()),
    ]
    return "\n".join(lines) + "\n"


def unknown_command(name: str, known: Iterable[str]) -> UsageError:
    """The error for a command that does not exist, with the one that was probably meant."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    hint = f"did you mean `graphferry {close[0]}`?" if close else "graphferry --help lists the commands"
    return UsageError(f"unknown command {name!r}", hint=hint)
