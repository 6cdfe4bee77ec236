"""`-` in the place of a file: standard input and standard output, as text of a graph and as bytes of a run."""

from __future__ import annotations

import shutil
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from graphs.errors import GraphInvalid, UsageError
from graphs.language.graph_files import beside, load_graph, with_graphs
from graphs.language.load import MAX_SIZE, load_text

if TYPE_CHECKING:
    from graphs.environment import Environment
    from graphs.language.load import Document

__all__ = ["STREAM", "graph_name", "keep_piped", "lines_shown", "piped_in", "piped_out", "read_graph"]

STREAM: Final = "-"
"""What is written for a stream; a file of that name is `./-`."""

_NAME: Final = "standard input"


def graph_name(file: str) -> str:
    """What a run of the graph in this file is called."""
    from pathlib import Path

    return _NAME if file == STREAM else Path(file).name


def keep_piped(parser: ArgumentParser, words: Sequence[str], env: Environment) -> bytes | None:
    """Reads a graph that the words say comes by standard input, so that its inputs can be options, and keeps it for `read_graph`."""
    if STREAM not in words or {"-h", "--help"} & set(words):
        return None
    content = _graph_bytes(env)
    parser.set_defaults(piped=content)
    return content


def read_graph(file: str, env: Environment, args: Namespace | None = None) -> Document:
    """The graph in a file, or by standard input; graphs that it loads lie beside the file, or in the current folder.

    Raises GraphInvalid if it cannot be read, UsageError if nothing came.
    """
    if file != STREAM:
        return load_graph(env.cwd / file, file=file)
    content = getattr(args, "piped", None)
    content = _graph_bytes(env) if content is None else content
    try:
        document = load_text(content, file=_NAME)
    except GraphInvalid as error:
        error.text = content.decode("utf-8", "replace")
        raise
    with lines_shown(document):
        return with_graphs(document, beside(env.cwd / _NAME))


@contextmanager
def lines_shown(document: Document) -> Iterator[None]:
    """What is wrong with the document is told with its lines, even if they are in no file."""
    try:
        yield
    except GraphInvalid as error:
        if error.file == _NAME:
            error.text = document.text
        raise


@contextmanager
def piped_in(env: Environment) -> Iterator[IO[bytes]]:
    """Standard input as a file that can be read from any place: what comes by a pipe is put into a temporary one."""
    source = getattr(env.stdin, "buffer", None)
    if source is None:
        raise UsageError("standard input has no bytes here")
    with tempfile.TemporaryFile() as held:
        shutil.copyfileobj(source, held)
        held.seek(0)
        yield held


def piped_out(env: Environment) -> IO[bytes]:
    """Standard output for bytes. Raises UsageError for a terminal, which they would confuse."""
    if env.stdout.isatty():
        raise UsageError(
            "this is no text, and standard output is a terminal", hint="Name a file, or lead it into a program: | ssh ..."
        )
    out: IO[bytes] | None = getattr(env.stdout, "buffer", None)
    if out is None:
        raise UsageError("standard output takes no bytes here")
    env.stdout.flush()
    return out


def _graph_bytes(env: Environment) -> bytes:
    source = getattr(env.stdin, "buffer", None)
    content: bytes = (
        source.read(MAX_SIZE + 1) if source is not None else env.stdin.read(MAX_SIZE + 1).encode("utf-8", "surrogatepass")
    )
    if not content.strip():
        raise UsageError("no graph came by standard input", hint="For instance: graphferry run - < GRAPH")
    return content
