from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from graphs.errors import ModelCrashed, ModelMissing, ModelRefused
from graphs.models.frames import MAX_FRAME
from graphs.models.hosting.process import Answer, ModelProcess
from model_fakes import COMMAND


def request(text: str) -> dict[str, Any]:
    return {"t": "generate", "messages": [{"role": "user", "content": text}]}


async def read_to_the_end(answer: Answer) -> None:
    while not answer.ended:
        await answer.next()


def with_child(use: Callable[[ModelProcess], Awaitable[None]], *, name: str = "tiny", cancel_grace: float = 10.0) -> None:
    async def main() -> None:
        load = {"path": f"{name}.gguf", "context": 512, "threads": 1}
        child = await ModelProcess.start(name, load, command=COMMAND, cancel_grace=cancel_grace)
        try:
            await use(child)
        finally:
            await child.close()
        with pytest.raises(ProcessLookupError):  # reaped: a zombie would still take signal 0
            os.kill(child.pid, 0)

    asyncio.run(main())


def test_a_child_answers_in_frames() -> None:
    async def use(child: ModelProcess) -> None:
        assert child.ready == {"t": "ready", "context": 512, "template": True, "version": "fake 1", "slots": 1}
        assert child.alive
        answer = child.ask(request("say a b"))
        frames = [await answer.next() for _ in range(3)]
        assert [frame["t"] for frame in frames] == ["token", "token", "done"]
        assert answer.ended

    with_child(use)


def test_answers_to_several_requests_do_not_mix() -> None:
    async def use(child: ModelProcess) -> None:
        answers = [child.ask(request(f"say {word}")) for word in ("a", "b", "c")]
        texts = []
        for answer in reversed(answers):
            texts.append((await answer.next())["text"])
            assert (await answer.next())["t"] == "done"
        assert texts == ["c ", "b ", "a "]

    with_child(use)


def test_giving_up_stops_the_request_and_the_next_one_is_served() -> None:
    async def use(child: ModelProcess) -> None:
        answer = child.ask(request("forever"))
        await answer.next()
        child.give_up(answer)
        child.give_up(answer)
        patience = child._given_up[answer.number]
        following = child.ask(request("say x"))
        assert (await following.next())["text"] == "x "
        assert patience.cancelled()
        assert child.alive

    with_child(use)


def test_a_child_that_does_not_stop_is_ended_and_says_why() -> None:
    async def use(child: ModelProcess) -> None:
        answer = child.ask(request("deaf"))
        await answer.next()
        following = child.ask(request("say x"))
        child.give_up(answer)
        with pytest.raises(ModelCrashed, match="because it did not stop when it was told to"):
            await following.next()
        assert not child.alive

    with_child(use, cancel_grace=0.01)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"kill {int(signal.SIGKILL)}", r"signal 9 \(SIGKILL\)(.|\n)*about to fall"),
        (f"kill {int(signal.SIGABRT)}", r"signal 6 \(SIGABRT\)"),
        ("exit 3", "exit code 3"),
        ("garbage", "what is no frame"),
        ("chatter", r"exit code 3(.|\n)*the end"),
    ],
)
def test_death_fails_every_open_request_with_how_and_the_last_words(text: str, says: str) -> None:
    async def use(child: ModelProcess) -> None:
        answers = [child.ask(request(text)), child.ask(request("say never"))]
        for answer in answers:
            with pytest.raises(ModelCrashed, match=says) as caught:
                await read_to_the_end(answer)
            assert caught.value.retryable
            assert "model tiny" in caught.value.message
            assert len(caught.value.message) < 10_000
        assert not child.alive
        late = child.ask(request("say late"))
        with pytest.raises(ModelCrashed):
            await late.next()

    with_child(use)


def test_closing_in_the_middle_fails_the_request() -> None:
    async def use(child: ModelProcess) -> None:
        answer = child.ask(request("forever"))
        await answer.next()
        await child.close()
        with pytest.raises(ModelCrashed, match="because it was closed"):
            await answer.next()

    with_child(use)


def test_a_request_too_long_for_a_frame_is_refused_and_harms_nobody() -> None:
    async def use(child: ModelProcess) -> None:
        with pytest.raises(ModelRefused, match="more than"):
            child.ask(request("x" * MAX_FRAME))
        answer = child.ask(request("say fine"))
        assert (await answer.next())["text"] == "fine "

    with_child(use)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("unloadable", ModelMissing, "Model unloadable cannot be loaded: ValueError: these are not weights"),
        ("deadly", ModelCrashed, r"ended while it was being loaded with signal 6(.|\n)*loading deadly"),
        ("mumbling", ModelCrashed, "it wrote no frame"),
    ],
)
def test_a_file_that_cannot_be_loaded(name: str, error: type[Exception], says: str) -> None:
    async def use(child: ModelProcess) -> None:
        raise AssertionError("it was loaded")

    with pytest.raises(error, match=says):
        with_child(use, name=name)


def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    program = f"import os, time; open({str(pipe)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    async def main() -> int:
        starting = asyncio.create_task(ModelProcess.start("slow", {}, command=[sys.executable, "-c", program]))
        pid = int(await asyncio.to_thread(pipe.read_text))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(main()), 0)
