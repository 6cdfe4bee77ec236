"""Stand-ins for tests of the model host: tiny GGUF files, and a child process that speaks the frames and breaks on demand.

Run as a program this file is the child. What it does is said by the last message's content (`say WORDS`, `forever`, `deaf`, `kill N`,
`call NAME`, `exit N`, `garbage`, `chatter`, `refuse`, `echo`) and, for loading, by the file's name (`unloadable`, `deadly`, `mumbling`).
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

COMMAND = (sys.executable, str(Path(__file__).resolve()), str(Path(__file__).resolve().parents[1]))


def gguf_bytes(**entries: Any) -> bytes:
    """A GGUF file without tensors; `__` in a key stands for a dot."""
    body = b"".join(_text(key.replace("__", ".")) + _value(value) for key, value in entries.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + body


def tiny_gguf(path: Path, **entries: Any) -> Path:
    entries = {"general__architecture": "llama", "llama__context_length": 512, "general__file_type": 2, **entries}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(**entries))
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(item) for item in value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return struct.pack("<II", 4, value)


class Child:
    def __init__(self) -> None:
        sys.path.insert(0, sys.argv[1])
        from graphs.models import frames

        self.frames = frames
        self.source: BinaryIO = sys.stdin.buffer
        self.waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.cancelled: set[int] = set()

    def send(self, **frame: Any) -> None:
        os.write(1, self.frames.pack(frame))

    def main(self) -> None:
        load = self.frames.read(self.source)
        assert load is not None
        name = Path(load["path"]).stem
        sys.stderr.write(f"loading {name}\n")
        sys.stderr.flush()
        if name == "deadly":
            os.abort()
        if name == "mumbling":
            os.write(1, b"hello, I am no frame")
        if name == "unloadable":
            self.send(t="failed", message="ValueError: these are not weights")
            return
        self.send(t="ready", context=load["context"], template=True, version="fake 1", slots=load.get("slots", 1))
        threading.Thread(target=self.read, daemon=True).start()
        while True:
            request = self.waiting.get()
            self.serve(request["id"], request, load)

    def read(self) -> None:
        while (frame := self.frames.read(self.source)) is not None:
            if frame["t"] == "cancel":
                self.cancelled.add(frame["id"])
            else:
                self.waiting.put(frame)
        os._exit(0)

    def serve(self, number: int, request: dict[str, Any], load: dict[str, Any]) -> None:
        if request["t"] == "embed":
            if request["texts"] == ["refuse"]:
                self.send(t="error", id=number, code="CONTEXT_TOO_LONG", message="it says no", detail=None)
            else:
                lengths = [len(text) for text in request["texts"]]
                self.send(t="done", id=number, vectors=[[float(each), 0.0] for each in lengths], tokens=sum(lengths))
            return
        verb, _, rest = request["messages"][-1]["content"].partition(" ")
        if verb == "say":
            for word in rest.split(" "):
                self.send(t="token", id=number, text=word + " ")
            self.done(number, "stop", len(rest.split(" ")))
        elif verb == "echo":
            self.send(t="token", id=number, text=json.dumps({"request": request, "load": load}))
            self.done(number, "stop", 1)
        elif verb == "call":
            call = {"id": "call_1", "name": rest, "arguments": {"at": "größe"}}
            self.done(number, "tool_calls", 1, calls=[call], dropped=2, confidence=[-1.0, -2.0, 0.5])
        elif verb in ("forever", "deaf"):
            self.send(t="token", id=number, text="one ")
            while verb == "deaf" or number not in self.cancelled:
                time.sleep(0.002)
            self.done(number, "cancelled", 1)
        elif verb == "refuse":
            self.send(t="error", id=number, code=rest, message="it says no", detail={"context": 5})
        elif verb == "kill":
            self.send(t="token", id=number, text="one ")
            sys.stderr.write("about to fall\n")
            sys.stderr.flush()
            os.kill(os.getpid(), int(rest))
        elif verb == "exit":
            os._exit(int(rest))
        elif verb == "garbage":
            os.write(1, b"\xff\xff\xff\xffgarbage")
        elif verb == "chatter":
            sys.stderr.write("x" * 200_000 + "\nthe end\n")
            sys.stderr.flush()
            os._exit(3)

    def done(self, number: int, finish: str, tokens: int, **more: Any) -> None:
        figures = {"prompt_tokens": 3, "completion_tokens": tokens, "prompt_ms": 1.0, "decode_ms": 100.0, "seed": 7}
        self.send(t="done", id=number, finish=finish, **figures, **more)


if __name__ == "__main__":
    Child().main()
