"""A model file behind llama.cpp's own server, out of the prebuilt wheel xllamacpp: for machines that have no compiler.

    python -m graphs.models.openai.xllama_server FILE [--port N] [--context TOKENS] [--slots N] [--threads N] [--embeddings]

It prints its address when it is ready, and serves until its standard input is closed or it is told to end. To graphferry it is a
server like any other (graphs.models.openai.client): a process of its own, so that what ends it ends no run, and asked over HTTP, where
closing the connection ends an answer. The wheel's calls within a process can do neither.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphs.models.threads import thread_count

__all__ = ["main"]

_ERRORS_ONLY = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves; the exit status is 2 for what cannot be served as asked."""
    parser = argparse.ArgumentParser(
        prog="python -m graphs.models.openai.xllama_server", description="A GGUF file behind llama.cpp's server."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=0, help="a free one unless named")
    parser.add_argument("--context", type=int, default=4096, help="tokens that all requests share (4096)")
    parser.add_argument("--slots", type=int, default=8, help="requests answered at the same time (8)")
    parser.add_argument("--threads", type=int, help="one core is left free unless told otherwise")
    parser.add_argument("--embeddings", action="store_true", help="make vectors of texts, and no answers")
    options = parser.parse_args(arguments)
    if not options.file.is_file():
        return _unserved(f"There is no file {options.file}.")
    try:
        library: Any = importlib.import_module("xllamacpp")
    except ImportError:
        return _unserved("xllamacpp is not installed.\npip install 'graphferry[xllamacpp]'")
    try:
        server = library.Server(_settings(library, options))
    except RuntimeError as error:
        return _unserved(f"llama.cpp cannot serve {options.file}: {error}")
    sys.stdout.write(f"{server.listening_address}/v1\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # its threads would finish the answers that are being written, for nobody


def _unserved(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 2


def _settings(library: Any, options: argparse.Namespace) -> Any:
    settings = library.CommonParams()
    settings.model.path = str(options.file)
    settings.port, settings.n_ctx, settings.n_parallel, settings.kv_unified = options.port, options.context, options.slots, True
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = options.threads or thread_count()
    settings.n_threads_http = options.slots + 2
    if options.embeddings:
        settings.embedding, settings.pooling_type = True, library.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    settings.verbosity = _ERRORS_ONLY
    return settings


if __name__ == "__main__":
    sys.exit(main())
