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
from graphs.models.files.download import Download, Source
from graphs.models.files.facts import Facts, examine, facts_of, known_facts, remember
from graphs.models.files.fetch import DEFAULT_MODEL, EMBEDDED, Embedded, fetch
from graphs.models.files.gguf import read_header
from graphs.models.files.quantise import Progress, Quant, quantise

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

    def add(
        self, path: Path, name: str | None = None, *, link: bool = False, quant: Quant = "none", progress: Progress | None = None
    ) -> StoredModel:
        """Takes a GGUF file in: as a copy, as a link to where it is, or written anew in another quantisation.

        The name is the file's unless given. Taking the same file in again changes nothing; in another quantisation it takes the
        place of the former. Raises UsageError if there is no such file, it is no GGUF file or cannot be written anew, the name
        cannot be one, or the name is another model's already.
        """
        name = _named(name or path.stem)
        if not path.is_file():
            raise UsageError(f"There is no file {path}.", hint="Models are GGUF files: graphferry models add PATH")
        read_header(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=self.folder) as scratch:
            draft = Path(scratch) / self._path(name).name
            if link:
                draft.symlink_to(path.resolve())
            elif quant == "none":
                shutil.copyfile(path, draft)
            facts = examine(draft if draft.exists() else path, source=str(path.resolve()))
            if quant != "none" and not link:
                return self._rewrite(name, path, facts, quant, Path(scratch), progress)
            return self._keep(name, draft, facts)

    def get(
        self,
        name: str = DEFAULT_MODEL,
        *,
        quant: Quant | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> StoredModel:
        """The model of that name, fetched and checked against its known SHA-256 if it is not here yet.

        Without `quant` it is kept as it came, and one that is here stays as it is. Raises ModelMissing if it is neither here nor one
        that can be fetched, UsageError if fetching failed or it has another SHA-256 than `sha256`: nothing is left behind.
        """
        origin = self._embedded.get(name)
        if origin is None:
            try:
                return self._right(self.find(name), sha256)
            except ModelMissing:
                raise ModelMissing(
                    f"{name} is neither in {self.folder} nor a model that is fetched by its name, as {', '.join(self._embedded)} is.",
                    hint="graphferry models get URL[@SHA256]   or   graphferry models import FILE",
                ) from None
        if sha256 not in (None, origin.sha256):
            raise UsageError(f"The model {name} has the SHA-256 {origin.sha256}, not {sha256}.")
        path = self._path(name)
        if path.exists():
            stored = self._same(name, origin)
            facts = stored.facts
            assert facts is not None
            if quant is None or facts.quantisation == _type_of(quant, facts):
                return stored
            if facts.sha256 == origin.sha256:
                return self.add(path, name, quant=quant, progress=progress)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".getting-", dir=self.folder) as scratch:
            model, licence = fetch(name, origin, Path(scratch))
            licence.replace(self.folder / f"{name}.LICENSE")
            facts = examine(model, source=origin.requirement, licence=origin.licence)
            return self._rewrite(name, model, facts, quant or "none", Path(scratch), progress)

    def get_url(
        self,
        source: Source,
        name: str | None = None,
        *,
        quant: Quant | None = None,
        progress: Progress | None = None,
        download: type[Download] = Download,
    ) -> StoredModel:
        """The model at an address. One that came from there, or has the hash that is asked for, is not fetched again.

        Raises UsageError if it cannot be fetched, is no GGUF file, or the name is another model's already.
        """
        name = _named(name or source.name)
        if self._path(name).exists():
            stored = self._stored(self._path(name))
            facts = stored.facts or examine(stored.path)
            known = (facts.source,) if source.sha256 is None else (facts.sha256, facts.source_sha256)
            if (source.sha256 or source.text) in known:
                return replace(stored, facts=facts)
            raise _taken(stored.path)
        way = download(source, self.folder, name)
        way.run(progress)
        try:
            facts = examine(way.file, source=source.text)
        except UsageError:
            way.drop()
            raise
        with tempfile.TemporaryDirectory(prefix=".getting-", dir=self.folder) as scratch:
            stored = self._rewrite(name, way.file, facts, quant or "none", Path(scratch), progress)
        way.drop()
        return stored

    def note_speed(self, name: str, *, tokens_per_second: float, prompt_per_second: float, measured: str) -> StoredModel:
        """Keeps what was measured of a model here, and when (ISO 8601, UTC). Raises ModelMissing, UsageError for a file that is no GGUF."""
        path = self.find(name).path
        facts = facts_of(path)
        remember(
            path, replace(facts, tokens_per_second=tokens_per_second, prompt_per_second=prompt_per_second, measured=measured)
        )
        return self._stored(path)

    def _same(self, name: str, origin: Embedded) -> StoredModel:
        """The file that is here under an embedded model's name, if it is that model or was made from it."""
        stored = self._stored(self._path(name))
        facts = stored.facts or examine(stored.path, source=origin.requirement, licence=origin.licence)
        if origin.sha256 not in (facts.sha256, facts.source_sha256):
            raise UsageError(
                f"{stored.path} is not the model {name}: its SHA-256 is {facts.sha256}, not {origin.sha256}.",
                hint=f"Move it away, then: graphferry models get {name}",
            )
        if stored.facts is None:
            remember(stored.path, facts)
        return replace(stored, facts=facts)

    def _right(self, stored: StoredModel, sha256: str | None) -> StoredModel:
        """The model, if it has that hash, or was made of a file that has."""
        if sha256 is not None:
            facts = facts_of(stored.path)
            if sha256 not in (facts.sha256, facts.source_sha256):
                raise UsageError(f"{stored.path} has the SHA-256 {facts.sha256}, not {sha256}.")
        return stored

    def _rewrite(
        self, name: str, source: Path, facts: Facts, quant: Quant, scratch: Path, progress: Progress | None
    ) -> StoredModel:
        """Keeps a file as it is, or written anew."""
        if facts.quantisation == _type_of(quant, facts):
            draft = source
            if source.parent != scratch and source.suffix != ".part":  # somebody's own file: it stays where it is
                draft = Path(shutil.copyfile(source, scratch / "copy.gguf"))
                facts = examine(draft, source=facts.source, licence=facts.licence)
            return self._keep(name, draft, facts)
        path = self._path(name)
        there = known_facts(path) if path.exists() else None
        if there and (there.source_sha256, there.quantisation) == (facts.sha256, _type_of(quant, facts)):
            return self._stored(path)
        draft = scratch / "rewritten.gguf"
        quantise(source, draft, quant, progress)
        made = examine(draft, source=facts.source, licence=facts.licence)
        return self._keep(name, draft, replace(made, source_sha256=facts.sha256, source_quantisation=facts.quantisation))

    def _keep(self, name: str, draft: Path, facts: Facts) -> StoredModel:
        """Moves a finished file into its place. Facts come second: without them they are found out anew, never wrong."""
        path = self._path(name)
        there = (known_facts(path) or examine(path)) if path.exists() else None
        if there is not None and _origin(there) != _origin(facts):
            raise _taken(path)
        if there is None or there.sha256 != facts.sha256:
            with draft.open("rb") as file:
                os.fsync(file.fileno())  # or a power cut leaves a torn file beside facts that vouch for it
            draft.replace(path)
            remember(path, facts)
        return self._stored(path)

    def _stored(self, path: Path) -> StoredModel:
        return StoredModel(name=path.stem, path=path, size=path.stat().st_size, facts=known_facts(path))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.gguf"


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a model's name: letters, digits, dots, dashes and underscores, at most 128.",
            hint="Give it one: --name NAME",
        )
    return name


def _taken(path: Path) -> UsageError:
    return UsageError(f"There is another model {path.stem} already: {path}.", hint="Give this one another name: --name NAME")


def _origin(facts: Facts) -> str:
    """What tells models apart, whatever quantisation they are kept in."""
    return facts.source_sha256 or facts.sha256


def _type_of(quant: Quant, facts: Facts) -> str | None:
    """The type of file that is asked for, as a header names it."""
    return facts.quantisation if quant == "none" else quant.upper()
