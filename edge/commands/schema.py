"""`graphferry schema`: print the JSON Schema of graphs, for editors."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from graphs.environment import Environment, ExitStatus
from graphs.language.schema import json_schema
from graphs.loadagents import known_agents

__all__ = ["add_arguments", "main", "schema_text"]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there")
    parser.add_argument(
        "--agents",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module whose agents editors shall offer, too; may be repeated",
    )


def main(args: Namespace, env: Environment) -> int:
    text = schema_text(tuple(args.agents), env.cwd)
    if args.output is None:
        env.stdout.write(text)
    else:
        (env.cwd / args.output).write_text(text, encoding="utf-8")
    return ExitStatus.COMPLETED


def schema_text(modules: tuple[str, ...], folder: Path) -> str:
    """The schema as a file, with the standard agents and those of these modules. Raises UsageError naming a module it cannot use."""
    agents = known_agents(modules, folder=folder)
    return (
        json.dumps(json_schema({name: agent.description for name, agent in agents.items()}), ensure_ascii=False, indent=2) + "\n"
    )
