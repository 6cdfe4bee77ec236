"""The child process of one model: llama.cpp through llama-cpp-python, asked over a pipe.

A failed assertion inside llama.cpp ends the whole process. Here that is this one, with this one model.

    parent                                child
    load {path, context, threads}    ->
                                     <-   ready {context, template, version} | failed {message}
    generate {id, messages, ...}     ->
                                     <-   token {id, text} ...
                                     <-   done {id, finish, prompt_tokens, completion_tokens, ...} | error {id, code, message, detail}
    cancel {id}                      ->   (the answer is then done with finish "cancelled")

One thread owns the model and its context and answers in the order of the requests. Another reads the pipe; it notes what is
cancelled, which the first looks at between two tokens and llama.cpp at each layer of a prompt, and ends the process when the
parent's end is closed. Standard output belongs to the frames alone: whatever else writes to it goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, BinaryIO, NoReturn

from graphs.models import frames
from graphs.models.llama_engine import Engine, Refusal

__all__ = ["main"]


class _Requests:
    """What the parent asked, as far as both threads know of it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def next(self) -> dict[str, Any]:
        return self._waiting.get()

    def cancelled(self, request: int) -> bool:
        return request in self._cancelled

    def finished(self, request: int) -> None:
        self._open.discard(request)
        self._cancelled.discard(request)

    def _read(self) -> NoReturn:
        """Nothing waits for this thread, and nothing the other one does is worth finishing without a parent."""
        code = 2
        try:
            while (frame := frames.read(self._source)) is not None:
                if frame["t"] == "cancel":
                    self._cancelled |= self._open & {frame["id"]}
                else:
                    self._open.add(frame["id"])
                    self._waiting.put(frame)
            code = 0
        except (frames.FrameError, OSError, LookupError, TypeError) as error:
            sys.stderr.write(f"broken request: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)


def main() -> NoReturn:
    """Serves one parent until its end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the parent decides what it means here
    source, target = _take_pipe()
    load = frames.read(source)
    if load is None:
        sys.exit(0)
    requests = _Requests(source)
    engine = _load(load, target)
    while True:
        request = requests.next()
        number = request["id"]
        try:
            for text in engine.generate(request, partial(requests.cancelled, number)):
                _send(target, {"t": "token", "id": number, "text": text})
            _send(target, {"t": "done", "id": number, **engine.outcome})
        except Refusal as refusal:
            _send(
                target, {"t": "error", "id": number, "code": refusal.code, "message": refusal.message, "detail": refusal.detail}
            )
        finally:
            requests.finished(number)


def _take_pipe() -> tuple[BinaryIO, BinaryIO]:
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, target


def _load(load: Mapping[str, Any], target: BinaryIO) -> Engine:
    try:
        llama_cpp = importlib.import_module("llama_cpp")  # Any, whether or not it is installed where types are checked
        engine = Engine(llama_cpp, load["path"], context=load["context"], threads=load["threads"])
    except Exception as error:  # noqa: BLE001 -- whatever a library says of a file it cannot load is told to the parent
        _send(target, {"t": "failed", "message": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    version = f"llama-cpp-python {llama_cpp.__version__}"
    _send(target, {"t": "ready", "context": engine.context, "template": engine.has_template, "version": version})
    return engine


def _send(target: BinaryIO, frame: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the reading thread sees the same end and ends the process
        target.write(frames.pack(frame))
        target.flush()


if __name__ == "__main__":
    main()
