"""The child process that writes a model's file anew in another quantisation: llama.cpp reads a file from elsewhere, so it does so alone.

    argv: source, target, type
    stdout: `n total` for each tensor, then `done` or `failed MESSAGE`

Whatever the library itself has to say goes to standard error.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
from typing import Any, Final, NoReturn, TextIO

__all__ = ["main"]

_STEP: Final = re.compile(rb"\[\s*(\d+)/\s*(\d+)\]")
_TYPES: Final = {"q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "q4_0": "LLAMA_FTYPE_MOSTLY_Q4_0"}


def main(arguments: list[str]) -> NoReturn:
    """Writes the file, says how far it is, and leaves with 0 if it is whole."""
    source, target, kind = arguments
    told = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    try:
        code = _quantise(importlib.import_module("llama_cpp"), source, target, kind, told)
    except Exception as error:  # noqa: BLE001 -- whatever a library says of a file it cannot read is told to the parent
        told.write(f"failed {type(error).__name__}: {' '.join(str(error).split())}\n")
        sys.exit(1)
    told.write("done\n" if code == 0 else f"failed llama.cpp gave up with code {code}\n")
    sys.exit(code != 0)


def _quantise(lib: Any, source: str, target: str, kind: str, told: TextIO) -> int:
    @lib.llama_log_callback  # type: ignore[untyped-decorator] # the library is untyped
    def log(_level: int, text: bytes, _data: Any) -> None:
        if step := _STEP.search(text):
            told.write(f"{int(step[1])} {int(step[2])}\n")
        else:
            sys.stderr.write(text.decode("utf-8", "replace"))

    lib.llama_log_set(log, ctypes.c_void_p(0))
    params = lib.llama_model_quantize_default_params()
    params.allow_requantize = True
    params.ftype = getattr(lib, _TYPES[kind])
    params.nthread = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    return int(lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)))


if __name__ == "__main__":
    main(sys.argv[1:])
