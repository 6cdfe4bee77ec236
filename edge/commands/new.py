"""`graphferry new [NAME]`: write a small graph to start from, and the schema that helps an editor with it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from shlex import quote
from typing import Final

from edge.commands.schema import schema_text
from graphs.environment import Environment, ExitStatus
from graphs.errors import UsageError

__all__ = ["SCHEMA_FILE", "add_arguments", "main"]

SCHEMA_FILE: Final = "graphferry.schema.json"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", default="graph", metavar="NAME", help="what to call it (default: graph); NAME.yaml is written"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there instead")
    parser.add_argument(
        "--schema", metavar="WHERE", help=f"a schema's path or URL to name, instead of writing {SCHEMA_FILE} beside the graph"
    )


def main(args: Namespace, env: Environment) -> int:
    if not args.name.strip():
        raise UsageError("an empty name is none for a graph", hint="For instance: graphferry new letter")
    written = args.output or (args.name if args.name.endswith((".yaml", ".yml")) else f"{args.name}.yaml")
    schema = args.schema or SCHEMA_FILE
    for word in (written, schema):
        if not word.isprintable():  # it becomes part of a comment
            raise UsageError(f"{word!r} is no name of a file: it has line ends or control characters in it")
    path = env.cwd / written
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(f"# yaml-language-server: $schema={schema}\n" + _STARTER.replace("FILE", quote(path.name)))
    except FileExistsError:
        raise UsageError(f"{written} is there already, and nothing of it was changed", hint="Give another name.") from None
    env.stdout.write(f"{written}\n")
    if args.schema is None:
        _write_schema(path.parent / SCHEMA_FILE, env)
    env.stderr.write(_NEXT.replace("FILE", quote(written)))
    return ExitStatus.COMPLETED


def _write_schema(path: Path, env: Environment) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(schema_text((), env.cwd))
    except FileExistsError:
        env.stderr.write(f"{path.name} was there already and is used as it is; `graphferry schema -o {path.name}` renews it\n")


_NEXT: Final = """next:
  graphferry check FILE   report every problem
  graphferry graph FILE   draw it
  graphferry run FILE     run it
"""

_STARTER: Final = """\
# A graph says what is computed from what; a node starts as soon as all that it reads is there.
# Run it:      graphferry run FILE
# Other words: graphferry run FILE --topic harbours
version: 0.5

# What a run may be given. Inside the graph, an input is read like any node.
inputs:
  topic:
    type: string
    default: the tide
    description: what to write about

nodes:
  # A static node holds a value. `graphferry run FILE --set 'style=three words'` gives it another one.
  style:
    value: one short sentence

  # A computed node has an agent. `:style` is the value of the node `style`; ${...} fills a value into text.
  draft:
    agent: llmAgent
    model: small # the model of this device; `graphferry models get` fetches it. What needs `large` goes to a worker.
    inputs:
      prompt: "Write ${:style} about ${:topic}."
    params:
      max_tokens: 40

  # Nothing here needs a model: this node waits for the draft, and goes on with a part of its value.
  pieces:
    agent: stringSplitterAgent
    inputs:
      text: :draft.text
    params:
      chunkSize: 24
      overlap: 0

  # A run's results are the values of the nodes that say `isResult`.
  result:
    agent: copyAgent
    isResult: true
    inputs:
      text: :draft.text
      pieces: :pieces.contents
"""
