"""The intake: records with their values in them, in an order that changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from graphs.errors import JournalError, LinkCondition, ValueUnsupported
from graphs.records import Cancel, Close, End, Frame, Input, Record, Result, Start, Submit
from protocol.intake import Intake
from protocol.payload import Reference, blobref, references, references_in, resolve
from wire.pair import run_id

RUN, OTHER = run_id(1), run_id(2)
Reads = Callable[[bytes, Record], Sequence[Reference]]


class Later:
    """Bodies that come when the test says so."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[Any]] = {}

    async def resolved(self, _run: bytes, record: Record, those: Sequence[Reference]) -> Record:
        values = {}
        for named in those:
            future = self.waiting.setdefault(named.ref, asyncio.get_running_loop().create_future())
            values[named.ref] = await future
        return resolve(record, values)


class Bench:
    """An intake, and what came out of it."""

    def __init__(self, reads: Reads = lambda _run, record: references(record), **more: Any) -> None:
        self.bodies = Later()
        self.obeyed: list[Record] = []
        self.sizes: list[int] = []
        self.lacking: list[tuple[Record, str]] = []
        bodies: Any = self.bodies
        self.intake = Intake(bodies, self.obey, self.lack, reads, **more)

    def obey(self, _run: bytes, record: Record, size: int) -> None:
        self.obeyed.append(record)
        self.sizes.append(size)

    def lack(self, _run: bytes, record: Record, condition: LinkCondition) -> None:
        self.lacking.append((record, condition.condition))

    async def comes(self, name: str, value: Any) -> None:
        await asyncio.sleep(0)
        future = self.bodies.waiting[ref(name)]
        if isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)
        for _ in range(3):
            await asyncio.sleep(0)


def ref(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def body(name: str) -> Any:
    return blobref(ref(name), 70_000)


def go(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


def test_what_needs_nothing_goes_on_at_once() -> None:
    async def main() -> None:
        bench = Bench()
        bench.intake.take(RUN, Start("a", 1))
        assert bench.obeyed == [Start("a", 1)]
        assert bench.sizes == [0]

    go(main)


def test_only_a_close_waits_for_a_value_before_it() -> None:
    async def main() -> None:
        bench = Bench()
        for record in (Input("a", 4, body("a")), Input("b", 4, 1), Close(None), Start("c", 1)):
            bench.intake.take(RUN, record)
        bench.intake.take(OTHER, Close(None))
        assert bench.obeyed == [Input("b", 4, 1), Start("c", 1), Close(None)]
        await bench.comes("a", "v")
        assert bench.obeyed[3:] == [Input("a", 4, "v"), Close(None)]
        assert bench.sizes[3:] == [70_000, 0]
        bench.intake.take(RUN, Start("d", 1))
        assert bench.obeyed[-1] == Start("d", 1)

    go(main)


def test_an_order_that_opens_a_frame_comes_before_what_is_for_it() -> None:
    async def main() -> None:
        for opening in (Submit("", bytes(32), {"s": [9, body("s")]}, {}), Frame("", bytes(32), {"s": [9, body("s")]}, {})):
            bench = Bench()
            bench.intake.take(RUN, Input("early", 4, body("early")))
            for record in (opening, Input("a", 4, 1), Close(None)):
                bench.intake.take(RUN, record)
            assert bench.obeyed == []
            await bench.comes("s", "v")
            assert bench.obeyed == [type(opening)("", bytes(32), {"s": [9, "v"]}, {}), Input("a", 4, 1)]
            await bench.comes("early", "w")
            assert bench.obeyed[2:] == [Input("early", 4, "w"), Close(None)]

    go(main)


def test_the_end_of_a_run_waits_for_its_results() -> None:
    async def main() -> None:
        bench = Bench()
        bench.intake.take(RUN, Result("a", 1, 0, body("a"), 5, {}))
        bench.intake.take(RUN, Result("b", 1, 0, body("b"), 5, {}))
        bench.intake.take(RUN, End(0, 5, {}))
        await bench.comes("b", 2)
        assert [type(each) for each in bench.obeyed] == [Result]
        await bench.comes("a", 1)
        assert [type(each) for each in bench.obeyed] == [Result, Result, End]

    go(main)


def test_what_nobody_reads_goes_on_as_it_is() -> None:
    async def main() -> None:
        bench = Bench(lambda _run, record: () if isinstance(record, Result) else references(record))
        bench.intake.take(RUN, Result("a", 1, 0, body("a"), 5, {}))
        assert bench.obeyed == [Result("a", 1, 0, body("a"), 5, {})]
        assert not bench.bodies.waiting

    go(main)


@pytest.mark.parametrize("comes", [7, LinkCondition("BLOB_GONE", "gone")])
def test_counts_come_without_the_value_and_nothing_is_refused_for_the_lack_of_them(comes: Any) -> None:
    async def main() -> None:
        bench = Bench(lambda _run, record: references_in(record.usage) if isinstance(record, Result) else references(record))
        bench.intake.take(RUN, Result("a", 1, 0, body("a"), 5, {}, {"prompt_tokens": body("n")}))
        await bench.comes("n", comes)
        count = body("n") if comes != 7 else 7
        assert bench.obeyed == [Result("a", 1, 0, body("a"), 5, {}, {"prompt_tokens": count})]
        assert not bench.lacking
        assert list(bench.bodies.waiting) == [ref("n")]

    go(main)


def test_a_value_that_does_not_come_is_told_and_nothing_waits_for_it() -> None:
    async def main() -> None:
        for error, code in (
            (LinkCondition("BLOB_GONE", "gone"), "BLOB_GONE"),
            (JournalError("full"), "INTERNAL"),
            (ValueUnsupported("junk"), "BLOB_GONE"),
        ):
            bench = Bench()
            bench.intake.take(RUN, Input("a", 4, body("a")))
            bench.intake.take(RUN, Close(None))
            await bench.comes("a", error)
            assert bench.lacking == [(Input("a", 4, body("a")), code)]
            assert bench.obeyed == [Close(None)]

    go(main)


def test_a_cancel_waits_for_nothing_and_nothing_comes_after_it() -> None:
    async def main() -> None:
        bench = Bench()
        bench.intake.take(RUN, Input("a", 4, body("a")))
        await asyncio.sleep(0)
        bench.intake.take(RUN, Close(None))
        bench.intake.take(RUN, Cancel(None, "user"))
        assert bench.obeyed == [Cancel(None, "user")]
        await asyncio.sleep(0)
        assert bench.bodies.waiting[ref("a")].cancelled()
        bench.intake.take(OTHER, Input("a", 4, body("b")))
        await asyncio.sleep(0)
        bench.intake.close()
        await asyncio.sleep(0)
        assert bench.bodies.waiting[ref("b")].cancelled()
        assert bench.obeyed == [Cancel(None, "user")]

    go(main)


def test_a_run_that_is_given_up_before_it_began_is_told() -> None:
    async def main() -> None:
        waiting = Submit("", bytes(32), {"s": [9, body("s")]}, {})
        for cancelled in (True, False):
            bench = Bench()
            bench.intake.take(RUN, waiting)
            bench.intake.take(RUN, Input("a", 4, 1))
            bench.intake.take(OTHER, Input("b", 4, body("b")))
            assert bench.intake.submits() == [(RUN, waiting)]
            if cancelled:
                bench.intake.take(RUN, Cancel(None, "not needed"))
            else:
                bench.intake.give_up(RUN, LinkCondition("GONE", "nobody is there"))
            assert bench.lacking == [(waiting, "CANCELLED" if cancelled else "GONE")]
            assert bench.obeyed == ([Cancel(None, "not needed")] if cancelled else [])
            assert bench.intake.submits() == []
            bench.intake.give_up(OTHER, LinkCondition("GONE", "nobody is there"))
            assert len(bench.lacking) == 1, "what has begun is somebody else's to end"

    go(main)


def test_what_was_made_from_a_value_does_not_overtake_it() -> None:
    def follows(_run: bytes, record: Any, earlier: Any) -> bool:
        return (record.path, earlier.path) in {("b", "a"), ("c", "b")}

    def told(path: str, value: Any) -> Result:
        return Result(path, 1, 0, value, 0, {}, None)

    async def main() -> None:
        bench = Bench(follows=follows)
        for each in (told("a", body("x")), told("b", 1), told("c", 2), told("d", 3)):
            bench.intake.take(RUN, each)
        assert bench.obeyed == [told("d", 3)], "that has nothing to do with it"
        await bench.comes("x", "large")
        assert bench.obeyed == [told("d", 3), told("a", "large"), told("b", 1), told("c", 2)]

    go(main)
