"""The child process of one model: llama.cpp through llama-cpp-python, asked over a pipe.

A failed assertion inside llama.cpp ends the whole process. Here that is this one, with this one model.

    parent                                            child
    load {path, context, threads, slots, states}  ->
                                                  <-  ready {context, template, version, slots} | failed {message}
    generate {id, messages, ...}                  ->
    embed {id, texts}                             ->
                                                  <-  token {id, text} ...
                                                  <-  done {id, ...} | error {id, code, message, detail}
    cancel {id}                                   ->  (the answer is then done with finish "cancelled")

Requests are answered together, as graphs.models.llama.batching plans. One thread owns the model and its context. Another reads the pipe; what
is cancelled it tells the engine, which llama.cpp asks at each layer of a prompt, and it ends the process when the parent's end is
closed. Standard output belongs to the frames alone: whatever else writes to it goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from graphs.models import frames

__all__ = ["main", "renderer"]


class _Requests:
    """What the parent asked, as far as both threads know of it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._engine: Any = None

    def serve(self, engine: Any) -> None:
        """Reads from now on."""
        self._engine = engine
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def take(self, *, wait: bool) -> None:
        """Hands what came to the engine, in its order; with `wait` at least one frame."""
        try:
            while True:
                frame = self._waiting.get(block=wait)
                wait = False
                if frame["t"] == "cancel":
                    self._engine.cancel(frame["id"])
                else:
                    self._engine.submit(frame)
        except queue.Empty:
            return

    def _read(self) -> NoReturn:
        """Nothing waits for this thread, and nothing the other one does is worth finishing without a parent."""
        code = 2
        try:
            while (frame := frames.read(self._source)) is not None:
                if frame["t"] == "cancel":
                    self._engine.interrupt(frame["id"])
                self._waiting.put(frame)
            code = 0
        except (frames.FrameError, OSError, LookupError, TypeError) as error:
            sys.stderr.write(f"broken request: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(code)


class _Outgoing:
    """The frames of one step, written together."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._frames: list[bytes] = []

    def emit(self, frame: Mapping[str, Any]) -> None:
        self._frames.append(frames.pack(frame))

    def flush(self) -> None:
        if self._frames:
            whole, self._frames = b"".join(self._frames), []
            with contextlib.suppress(BrokenPipeError):  # the reading thread sees the same end and ends the process
                self._target.write(whole)
                self._target.flush()


def main() -> NoReturn:
    """Serves one parent until its end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the parent decides what it means here
    source, target = _take_pipe()
    load = frames.read(source)
    if load is None:
        sys.exit(0)
    requests = _Requests(source)
    outgoing = _Outgoing(target)
    engine = _load(load, target, outgoing)
    requests.serve(engine)
    while True:
        requests.take(wait=engine.idle)
        engine.step()
        outgoing.flush()


def _take_pipe() -> tuple[BinaryIO, BinaryIO]:
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, target


def _load(load: Mapping[str, Any], target: BinaryIO, outgoing: _Outgoing) -> Any:
    try:
        engine, facts = _engine(load, outgoing)
    except Exception as error:  # noqa: BLE001 -- whatever a library says of a file it cannot load is told to the parent
        target.write(frames.pack({"t": "failed", "message": f"{type(error).__name__}: {error}"}))
        target.flush()
        sys.exit(1)
    target.write(frames.pack({"t": "ready", **facts}))
    target.flush()
    return engine


def _engine(load: Mapping[str, Any], outgoing: _Outgoing) -> tuple[Any, dict[str, Any]]:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads would spin at the start beside the one that computes
    llama_cpp = importlib.import_module("llama_cpp")  # Any, whether or not it is installed where types are checked
    # After it: they need numpy, which comes with it.
    from graphs.models.llama.api import Llama
    from graphs.models.llama.engine import Engine
    from graphs.models.llama.grammar import Grammars
    from graphs.models.llama.prompting import Prompts
    from graphs.models.llama.states import States

    slots = load["slots"]
    model = Llama(llama_cpp, load["path"], context=load["context"], threads=load["threads"], sequences=3 * slots)
    model.check()
    version = f"llama-cpp-python {llama_cpp.__version__}"
    states = None
    if load["states"] is not None:
        # The numbers of threads and of rows change a state's last digits, not what it is a state of.
        states = States(
            Path(load["states"]["folder"]), f"{load['states']['digest']} {version} f16", limit=load["states"]["limit"]
        )
    prompts = Prompts(model, renderer(llama_cpp, model), model.begin)
    engine = Engine(model, prompts, Grammars(llama_cpp), outgoing.emit, slots=slots, states=states)
    return engine, {"context": model.context, "template": model.template is not None, "version": version, "slots": slots}


def renderer(llama_cpp: Any, model: Any) -> Any:
    """Writes messages as the model's own template does; None if it has none."""
    if not model.template:
        return None
    # Renders in jinja2's ImmutableSandboxedEnvironment: a template is code that came with a file from elsewhere.
    formatters = {
        answer: llama_cpp.llama_chat_format.Jinja2ChatFormatter(
            template=model.template, bos_token=model.begin, eos_token=model.end, add_generation_prompt=answer
        )
        for answer in (True, False)
    }

    def render(messages: Sequence[Mapping[str, Any]], answer: bool) -> str:
        prompt: str = formatters[answer](messages=list(messages)).prompt
        return prompt

    return render


if __name__ == "__main__":
    main()
