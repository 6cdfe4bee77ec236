"""Files with labels: `files` of the device's configuration says which labels the values have that are read below a folder.

    files:
      ~/diary: private
      /srv/contracts: [internal, confidential]

An agent that reads files says so by its `needs`. Of `fileReadAgent` it is known from the node what it can reach: `params.baseDir`, and a file that is
named in the graph. Any other may read all that is granted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from graphs.errors import UsageError
from graphs.language.refs import names_in
from graphs.language.spec import words
from graphs.registry import Agent, LabelsOf, Registry
from graphs.values import Value

__all__ = ["LabelledFiles", "labels_of_file", "read_files", "with_labelled_files"]

_READER: Final = "fileReadAgent"
_READS_NOTHING: Final = frozenset({"fileWriteAgent", "pathUtilsAgent"})
"""Agents that need files and give nothing of what is in them."""

LabelledFiles = Mapping[Path, frozenset[str]]
"""Labels by folder, or file; the paths are real ones."""


def read_files(data: Any, where: object) -> dict[Path, frozenset[str]]:
    """The entries of a configuration. Raises UsageError naming the one that is wrong."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: `files` is a map of folders to labels, for instance\nfiles: {{~/diary: private}}")
    found = {}
    for name, said in data.items():
        path = Path(name).expanduser() if isinstance(name, str) else Path()
        if not path.is_absolute():
            raise UsageError(f"{where}: files.{name}: a folder is written in full, or from ~ on")
        if not words(said) or len(words(said)) != (1 if isinstance(said, str) else len(said)):
            raise UsageError(f"{where}: files.{name}: a label or a list of labels is expected")
        found[_real(path)] = frozenset(words(said))
    return found


def labels_of_file(files: LabelledFiles, path: Path) -> frozenset[str]:
    """The labels of what is read from a file."""
    real = _real(path)
    return frozenset[str]().union(*(labels for folder, labels in files.items() if real.is_relative_to(folder)))


def with_labelled_files(agents: Registry, files: LabelledFiles, granted: Path) -> Registry:
    """The agents of a device, those that read files with the labels of what they can reach; `granted` is the folder that they are granted."""
    if not files:
        return agents
    readers = [each for each in set(agents.values()) if "files" in each.needs and each.name not in _READS_NOTHING]
    return agents.with_agents(replace(each, labels=_labels_of(each, files, granted)) for each in readers)


def _labels_of(agent: Agent, files: LabelledFiles, granted: Path) -> LabelsOf:
    def labels(spec: Mapping[str, Value]) -> frozenset[str]:
        said = agent.labels
        own = frozenset(said(spec) if callable(said) else said or ())
        base = (spec.get("params") or {}).get("baseDir")
        inputs = spec.get("inputs") or {}
        if spec.get("agent") != agent.name or agent.name != _READER or "params" in inputs:
            return own | _reached(files, granted)
        if not isinstance(base, str) or not base:
            return own  # it refuses to read at all
        listed = inputs.get("array") or [inputs.get("file")]
        if isinstance(listed, list) and all(isinstance(each, str) and not _is_read(each) for each in listed):
            return own.union(*(_reached(files, granted / base / each) for each in listed))
        return own | _reached(files, granted / base)

    return labels


def _is_read(text: str) -> bool:
    return text[:1] in (":", "@") or "${" in text or bool(list(names_in(text)))


def _reached(files: LabelledFiles, path: Path) -> frozenset[str]:
    """The labels of all that can be at a path or below it."""
    real = _real(path)
    near = (labels for folder, labels in files.items() if real.is_relative_to(folder) or folder.is_relative_to(real))
    return frozenset[str]().union(*near)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
