"""The option `--assume`: what a person says became of nodes with effects that were in flight."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable

from edge.commands.options import read_value
from edge.runs.assume import FORMS, Assumption
from graphs.environment import Environment
from graphs.errors import UsageError

__all__ = ["add_assume_option", "parse_assumptions"]


def add_assume_option(parser: ArgumentParser) -> None:
    """May be given several times."""
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NODE=WHAT",
        help="what became of a node with effects that was in flight: done:VALUE, done, failed, or rerun to run it again",
    )


def parse_assumptions(words: Iterable[str], env: Environment) -> list[Assumption]:
    """`NODE=done:VALUE`, `NODE=done`, `NODE=failed` and `NODE=rerun`. Raises UsageError."""
    found = []
    for each in words:
        path, _, what = each.partition("=")
        if path and what in ("done", "failed", "rerun"):
            found.append(Assumption(path, what))  # type: ignore[arg-type]  # one of the three
        elif path and what.startswith("done:"):
            found.append(Assumption(path, "done", read_value(what.removeprefix("done:"), env)))
        else:
            raise UsageError(f"--assume {each}: expected {FORMS}")
    return found
