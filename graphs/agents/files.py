"""Agents that read and write files, always inside a folder that was granted.

Graphs travel between machines, so unlike GraphAI's these refuse every path that leaves params.baseDir, by `..` or by a link, and
every baseDir outside the folder this side grants its agents (`services.files`).
"""

from __future__ import annotations

import base64
import os
import posixpath
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from graphs.agents.common import given, option, refuse, service
from graphs.budget import spend
from graphs.errors import NodeError
from graphs.language.jstext import text, truthy
from graphs.registry import AgentContext, Sample, agent
from graphs.values import MISSING, Value

__all__ = ["AGENTS"]


@agent(
    "fileReadAgent",
    category="fs",
    effect="none",
    needs=["files"],
    blocking=True,
    samples=[
        Sample({"file": "hello.txt"}, {"baseDir": "/granted", "outputType": "text"}, {"data": "hello\n"}),
        Sample({"array": ["hello.txt"]}, {"baseDir": "/granted", "outputType": "base64"}, {"array": ["aGVsbG8K"]}),
        Sample({"file": "hello.txt"}, {"baseDir": "/granted"}, {"data": b"hello\n"}),
    ],
)
def file_read_agent(context: AgentContext) -> Value:
    """Reads a file, or the files in array, from params.baseDir: as bytes, or with params.outputType as "text" or "base64"."""
    convert = _converter(context.params.get("outputType"))
    array, file = context.inputs.get("array"), context.inputs.get("file")
    if truthy(array):
        if not isinstance(array, list):
            raise refuse("fileReadAgent: namedInputs.array is not Array.")
        return {"array": [convert(_read(context, name)) for name in array]}
    if truthy(file):
        return {"data": convert(_read(context, file))}
    raise refuse("fileReadAgent no file")


def _converter(kind: Value) -> Callable[[bytes], Value]:
    if kind == "stream":
        raise refuse(
            'fileReadAgent: a stream is no value here: set params.outputType to "text" or "base64", or leave it out for bytes'
        )
    if kind == "text":
        return lambda data: data.decode("utf-8-sig", errors="replace")
    if kind == "base64":
        return lambda data: base64.b64encode(data).decode("ascii")
    return lambda data: data


def _read(context: AgentContext, name: Value) -> bytes:
    _, real = _inside(context, "fileReadAgent", name)
    try:
        if real.exists() and not real.is_file():
            raise refuse(f"fileReadAgent: {text(name)} is not a file")
        with _opened(real, os.O_RDONLY) as file:
            spend(os.fstat(file.fileno()).st_size)
            return bytes(file.read())
    except OSError as error:
        raise NodeError(f"fileReadAgent: {text(name)} cannot be read: {error.strerror}") from error


@agent(
    "fileWriteAgent",
    category="fs",
    effect="once",
    needs=["files"],
    blocking=True,
    samples=[
        Sample(
            {"file": "note.txt", "text": "hello"},
            {"baseDir": "/granted"},
            {"result": True, "path": "/granted/note.txt", "dir": "/granted", "file": "note.txt"},
        )
    ],
)
def file_write_agent(context: AgentContext) -> Value:
    """Writes text or buffer (bytes) to a file in params.baseDir, replacing it as a whole or not at all."""
    name = context.inputs.get("file", MISSING)
    if not truthy(name):
        raise refuse("fileWriteAgent: inputs.file is UNDEFINED!")
    content = given(context.inputs, "text")
    content = given(context.inputs, "buffer") if content is MISSING else content
    if content is MISSING:
        raise refuse("fileWriteAgent: inputs.file and inputs.buffer are UNDEFINED!", hint="Set inputs.text or inputs.buffer.")
    shown, real = _inside(context, "fileWriteAgent", name)
    try:
        if real.exists() and not real.is_file():
            raise refuse(f"fileWriteAgent: {text(name)} exists and is not a file")
        _replace(real, content if isinstance(content, bytes) else text(content).encode("utf-8", errors="replace"), context.key)
    except OSError as error:
        raise NodeError(f"fileWriteAgent: {text(name)} cannot be written: {error.strerror}") from error
    return {"result": True, "path": str(shown), "dir": str(shown.parent), "file": shown.name}


def _replace(file: Path, data: bytes, key: bytes) -> None:
    """A reader, and a crash, meet the old content or the new one, never a part."""
    draft = file.with_name(f".{file.name}.{key.hex()[:16]}.draft")
    try:
        with _opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        if file.exists():
            draft.chmod(stat.S_IMODE(file.stat().st_mode))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _opened(file: Path, flags: int) -> Any:
    # Links were resolved before; one that stands here now was put there since, to lead elsewhere.
    no_links = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.fdopen(os.open(file, flags | no_links, 0o666), "rb" if flags == os.O_RDONLY else "wb")


def _inside(context: AgentContext, name: str, file: Value) -> tuple[Path, Path]:
    """The path as GraphAI gives it and the one it really is. Raises NodeError if that leaves baseDir or what is granted."""
    base = given(context.params, "baseDir")
    if not truthy(base):
        raise refuse(f"{name}: params.baseDir is UNDEFINED!")
    if not isinstance(base, str) or not isinstance(file, str) or "\0" in base + file:
        raise refuse(f"{name}: params.baseDir and file names are text")
    folder = _granted(context, name, base)
    shown = Path(os.path.normpath(f"{folder}/{file}"))
    real, inside = _real(shown), _real(folder)
    if not real.is_relative_to(inside) or real == inside:
        raise refuse(
            f"{name}: {file} is outside baseDir {base}",
            hint="Name a file inside params.baseDir; links that lead out count as outside.",
        )
    return shown, real


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve it does not raise for links that go round in circles


def _granted(context: AgentContext, name: str, base: str) -> Path:
    granted = service(context, "files")
    if granted is None:
        raise refuse(
            f"{name}: files are not granted here", hint="Run this node where they are, or grant a folder in the configuration."
        )
    root = _real(Path(granted))
    if Path(base).is_absolute():
        folder = Path(base)
    else:
        here = Path.cwd()
        folder = (here if here.is_relative_to(root) else root) / base
    if not _real(folder).is_relative_to(root):
        raise refuse(f"{name}: baseDir {base} is outside {granted}, the folder that is granted here")
    return Path(os.path.normpath(folder))


@agent(
    "pathUtilsAgent",
    category="fs",
    effect="none",
    needs=["files"],
    samples=[
        Sample({"dirs": ["a", "b", "..", "c.txt"]}, {"method": "join"}, {"path": "a/c.txt"}),
        Sample({"dirs": ["/base", "x", "../y"]}, {"method": "resolve"}, {"path": "/base/y"}),
        Sample({"path": "/a//b/./c/../d/"}, {"method": "normalize"}, {"path": "/a/b/d/"}),
    ],
)
def path_utils_agent(context: AgentContext) -> Value:
    """Joins or resolves dirs, or normalises path, as params.method says. Paths are POSIX paths on every system."""
    method = context.params.get("method")
    if not truthy(method):
        raise refuse("pathUtilsAgent: params.method is UNDEFINED!")
    if method == "resolve":
        return {"path": _resolved(_dirs(context))}
    if method == "join":
        return {"path": _normalised("/".join(part for part in _dirs(context) if part))}
    if method == "normalize":
        path = option(context, "path")
        if not truthy(path):
            raise refuse("pathUtilsAgent: path is UNDEFINED!")
        return {"path": _normalised(text(path))}
    raise refuse("pathUtilsAgent no file", hint="params.method is join, resolve or normalize.")


def _dirs(context: AgentContext) -> list[str]:
    dirs = option(context, "dirs")
    if not isinstance(dirs, list):
        raise refuse("pathUtilsAgent: dir is not Array!")
    return [text(part) for part in dirs]


def _resolved(dirs: list[str]) -> str:
    path = posixpath.join(Path.cwd().as_posix(), *dirs)
    return _normalised(path).rstrip("/") or "/"


def _normalised(path: str) -> str:
    normal = posixpath.normpath(path)
    if normal.startswith("//"):
        normal = normal[1:]
    return f"{normal}/" if path.endswith("/") and not normal.endswith("/") else normal


AGENTS: Final = (file_read_agent, file_write_agent, path_utils_agent)
