"""Writing a model's file anew in another quantisation, once, when it is taken in.

`q8_0` loses nothing that can be measured and reads prompts twice as fast as the types without kernels of their own; `q4_0` is
faster still, and a little worse. llama.cpp does the work in a child process.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

from graphs.errors import UsageError

__all__ = ["DEFAULT_QUANT", "QUANTS", "Progress", "Quant", "can_quantise", "quantise"]

Quant: TypeAlias = Literal["q8_0", "q4_0", "none"]
"""What a model's weights become; `none` leaves the file as it is."""

QUANTS: Final = cast("tuple[Quant, ...]", get_args(Quant))
DEFAULT_QUANT: Final[Quant] = "q8_0"

Progress: TypeAlias = Callable[[int, int], None]
"""How many of how many: tensors, or bytes. The second is 0 where it is not known."""

_ROOT: Final = Path(__file__).resolve().parents[3]
_CHILD: Final = (
    # As the model processes do it: the child runs this code, whatever lies in the working directory.
    sys.executable, "-P", "-c",
    "import sys; sys.path.insert(0, sys.argv[1]); from graphs.models.llama.quantising import main; main(sys.argv[2:])", str(_ROOT),
)  # fmt: skip
_LOG_SHOWN: Final = 6


def can_quantise() -> bool:
    """Whether llama.cpp is installed."""
    return importlib.util.find_spec("llama_cpp") is not None


def quantise(
    source: Path, target: Path, quant: Quant, progress: Progress | None = None, *, command: Sequence[str] = _CHILD
) -> None:
    """Writes `target` from `source`, both GGUF files. Returns when it is whole; a call that raises leaves no target behind.

    Raises UsageError: llama.cpp is not installed, or it cannot read the file.
    """
    if command is _CHILD and not can_quantise():
        raise UsageError(
            f"{source} cannot be written as {quant}: llama.cpp is not installed in {sys.prefix}.",
            hint="pip install 'graphferry[llama]', or take it as it is: --quant none",
        )
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*command, str(source), str(target), quant], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            last = _follow(child, progress)
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()
            if child.returncode != 0:
                target.unlink(missing_ok=True)
        if code != 0 or last != "done":
            target.unlink(missing_ok=True)
            log.seek(0)
            words = log.read()[-8192:].decode("utf-8", "replace").strip().splitlines()[-_LOG_SHOWN:]
            why = last.removeprefix("failed ") if last.startswith("failed ") else f"its process ended with code {code}"
            raise UsageError(
                "\n  ".join([f"{source} cannot be written as {quant}: {why}.", *words]),
                hint="Take it as it is with --quant none.",
            )


def _follow(child: subprocess.Popen[str], progress: Progress | None) -> str:
    last = ""
    assert child.stdout is not None
    for line in child.stdout:
        last = line.strip()
        step = last.split()
        if progress is not None and len(step) == 2 and all(each.isdigit() for each in step):
            progress(int(step[0]), int(step[1]))
    return last
