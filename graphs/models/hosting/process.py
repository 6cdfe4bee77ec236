"""The parent's side of one model's child process: its start, its frames, its death and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from graphs.errors import ModelCrashed, ModelMissing, ModelRefused
from graphs.models import frames

__all__ = ["CHILD", "Answer", "ModelProcess", "resident_bytes"]

_ROOT: Final = Path(__file__).resolve().parents[3]

CHILD: Final = (
    # -P and the path put in front: the child runs the code its parent runs, whatever lies in the working directory.
    sys.executable, "-P", "-c",
    "import sys; sys.path.insert(0, sys.argv[1]); from graphs.models.llama.child import main; main()", str(_ROOT),
)  # fmt: skip
"""The command of a child process that loads models with llama.cpp."""

_LOG_KEPT: Final = 8 * 1024
_LOG_SHOWN: Final = 6
_END_GRACE: Final = 3.0


class Answer:
    """The frames of one request, in order. Either read to its `done` or `error`, or given up with `ModelProcess.give_up`."""

    __slots__ = ("_frames", "ended", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.ended = False
        self._frames: asyncio.Queue[Mapping[str, Any] | ModelCrashed] = asyncio.Queue()

    def put(self, frame: Mapping[str, Any] | ModelCrashed) -> None:
        self._frames.put_nowait(frame)

    async def next(self) -> Mapping[str, Any]:
        """The next frame. Raises ModelCrashed if the process ended before."""
        frame = await self._frames.get()
        self.ended = isinstance(frame, ModelCrashed) or frame["t"] != "token"
        if isinstance(frame, ModelCrashed):
            raise frame
        return frame


class ModelProcess:
    """A running child process with one model loaded. Made by `start`; ends with `close`, or on its own, which fails its answers."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, cancel_grace: float) -> None:
        self.ready: Mapping[str, Any] = {}
        self._name = name
        self._process = process
        self._cancel_grace = cancel_grace
        self._answers: dict[int, Answer] = {}
        self._given_up: dict[int, asyncio.TimerHandle] = {}
        self._last: dict[int, asyncio.Future[Mapping[str, Any] | None]] = {}
        """Who waits for the last frames of requests that were given up."""
        self._numbers = 0
        self._cause: str | None = None
        self._ended = False
        self._log = bytearray()
        self._log_reader = asyncio.create_task(self._read_log(), name=f"log of model {name}")
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, name: str, load: Mapping[str, Any], *, command: Sequence[str] = CHILD, cancel_grace: float = 10.0
    ) -> ModelProcess:
        """Starts a child and has it load a model. `cancel_grace` is the time in seconds a cancelled request may go on before
        the child is ended for it.

        Raises ModelMissing if the child cannot load the file, ModelCrashed if it dies of it. Cancelling ends the child.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            # A failed assertion would otherwise call a debugger for a backtrace.
            env={**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"},
        )
        child = cls(name, process, cancel_grace)
        try:
            child._send({"t": "load", **load})
            child.ready = await child._first_frame()
        except BaseException:
            await child.close()
            raise
        child._reader = asyncio.create_task(child._read(), name=f"answers of model {name}")
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended

    def ask(self, request: Mapping[str, Any]) -> Answer:
        """Hands a request over: a frame but for its number. Raises ModelRefused if it cannot be written as one."""
        self._numbers += 1
        answer = Answer(self._numbers)
        try:
            self._send({**request, "id": answer.number})
        except frames.FrameError as error:
            raise ModelRefused(f"model {self._name}: the request {error}") from error
        self._answers[answer.number] = answer
        if self._reader is None or self._reader.done():
            answer.put(self._death())
        return answer

    def give_up(self, answer: Answer) -> None:
        """Stops a request unless it has ended. If the child goes on with it for too long, the child is ended."""
        if self._answers.pop(answer.number, None) is None or answer.ended or self._ended:
            return
        self._send({"t": "cancel", "id": answer.number})
        loop = asyncio.get_running_loop()
        self._given_up[answer.number] = loop.call_later(self._cancel_grace, self._kill, "it did not stop when it was told to")

    async def last_of(self, answer: Answer, seconds: float) -> Mapping[str, Any] | None:
        """Stops a request, and gives the frame with which the child ends it; None if none comes within so many seconds."""
        self.give_up(answer)
        if answer.number not in self._given_up:
            return None
        last = self._last[answer.number] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((last,), timeout=seconds)
        finally:
            del self._last[answer.number]
        return last.result() if last.done() else None

    async def close(self) -> None:
        """Ends the child: its end of the pipe is closed, and it is killed if it does not leave. Waits until it is gone."""
        self._cause = self._cause or "it was closed"
        assert self._process.stdin is not None
        self._process.stdin.close()
        leaving = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait((leaving,), timeout=_END_GRACE if self._reader else 0)
        finally:
            if not leaving.done():
                self._kill("it was closed")
            await asyncio.gather(leaving, self._log_reader, *([self._reader] if self._reader else []))

    def _send(self, frame: Mapping[str, Any]) -> None:
        # Not awaited: requests are few and bounded by their queue, and the child always reads.
        assert self._process.stdin is not None
        self._process.stdin.write(frames.pack(frame))

    def _kill(self, cause: str) -> None:
        self._cause = self._cause or cause
        if self._process.returncode is None:
            self._process.kill()

    async def _first_frame(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        try:
            frame = await frames.receive(self._process.stdout)
        except frames.FrameError as error:
            self._kill(f"it wrote no frame: {error}")
            frame = None
        if frame is None:
            await self._gone()
            raise self._death("while it was being loaded")
        if frame["t"] == "ready":
            return frame
        await self._gone()
        raise ModelMissing(f"Model {self._name} cannot be loaded: {frame.get('message')}.{self._last_words()}")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while (frame := await frames.receive(self._process.stdout)) is not None:
                self._dispatch(frame)
        except (frames.FrameError, KeyError) as error:
            self._kill(f"it wrote what is no frame: {error}")
        await self._gone()
        self._ended = True
        for timer in self._given_up.values():
            timer.cancel()
        for last in self._last.values():
            last.set_result(None)
        for answer in self._answers.values():
            answer.put(self._death())

    def _dispatch(self, frame: Mapping[str, Any]) -> None:
        number = frame["id"]
        ended = frame["t"] != "token"
        if ended and (timer := self._given_up.pop(number, None)) is not None:
            timer.cancel()
            if (last := self._last.get(number)) is not None:
                last.set_result(frame)
        answer = self._answers.pop(number, None) if ended else self._answers.get(number)
        if answer is not None:
            answer.put(frame)

    async def _gone(self) -> None:
        """Waits until the process is reaped and its last words are read."""
        self._ended = True
        await self._process.wait()
        await asyncio.wait((self._log_reader,))

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_LOG_KEPT):
            self._log = (self._log + chunk)[-_LOG_KEPT:]

    def _death(self, moment: str = "in the middle of a request") -> ModelCrashed:
        code = self._process.returncode
        how = f"signal {-code} ({_signal_name(-code)})" if code is not None and code < 0 else f"exit code {code}"
        why = f", because {self._cause}" if self._cause else ""
        return ModelCrashed(
            f"The process of model {self._name} (pid {self.pid}) ended {moment} with {how}{why}.{self._last_words()}",
            hint="The next request starts it again.",
        )

    def _last_words(self) -> str:
        lines = self._log.decode("utf-8", "replace").strip().splitlines()[-_LOG_SHOWN:]
        return "\nIts last words:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def resident_bytes(pid: int) -> int | None:
    """Memory a process has in use, None where the system does not say it in a file."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
