"""The model host beside llama-cpp-python's own interface, llama.cpp's server and llama.cpp alone.

    python -m benchmarks.models [--smoke] [--repeats N] [--only NAMES] [--write]

Needs llama.cpp and the small model (`make model`); without them, and without xllamacpp for its rows, it says what it leaves out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.generators import Hosted, InProcess, Prompts, Way, bare_loop, cpu, high_level, server
from benchmarks.measure import ROOT, Row, WrongAnswer, machine, one_core, ratio, table, write_section
from graphs.environment import Environment
from graphs.errors import ModelMissing, NodeTimeout
from graphs.models.files.facts import memory_needed
from graphs.models.files.fetch import DEFAULT_MODEL
from graphs.models.files.store import ModelStore
from graphs.models.hosting.host import HostOptions, MemoryOptions, ModelHost
from graphs.models.hosting.hosted import STATES_LIMIT
from graphs.models.interface import GenerationRequest, Model

_COLD: Final = "server, cold"
_COMPUTED: Final = ("in its prompt", "in its answer")
_WAITS: Final = ("cancel", "leave")
"""Parts that measure the time that passes."""

TOPICS: Final = ("rivers", "bread", "chess", "volcanoes", "bicycles", "tea", "maps", "bees", "glass", "tides", "trains", "salt")
FORM: Final = {"type": "json_object", "schema": {
    "type": "object",
    "properties": {"title": {"type": "string"}, "kind": {"enum": ["river", "road"]}, "text": {"type": "string", "minLength": 600}},
    "required": ["title", "kind", "text"],
}}  # fmt: skip

_READING: Final = """CPU time of all processes that take part, at one thread each and all on one core, medians of the ratios between neighbouring
runs; Q4_0, made from the shipped file by llama.cpp. Each round has a new system message. `bound` is what it is compared with: `high level` is
llama-cpp-python's chat completion, which keeps what the last prompt and the next begin with in common; `unshared` is our own engine
forbidden to copy; `bare loop` is llama.cpp's decode and the likeliest token, nothing else. Answers go on past their end, to be of one
length."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    many: tuple[int, ...]
    tokens: int
    rules: int
    rows: int
    document: int
    repeats: int


FULL: Final = Sizes((8, 16), 64, 15, 50, 50, 3)
SMOKE: Final = Sizes((2,), 4, 3, 3, 3, 1)


class Rounds:
    """Prompts that begin with a system message nobody saw before."""

    def __init__(self, rules: int) -> None:
        self._rules = rules
        self._round = 0

    def next(self, count: int) -> Prompts:
        """As many prompts with one new system message."""
        self._round += 1
        rules = " ".join(
            f"Rule {rule}: answer step {rule} in plain words, keep names and units as given." for rule in range(self._rules)
        )
        system = {"role": "system", "content": f"Session {self._round:04d}. {rules}"}
        return [
            [
                system,
                {"role": "user", "content": f"Write a short note about {TOPICS[each % len(TOPICS)]} for reader number {each}."},
            ]
            for each in range(count)
        ]


async def together(path: Path, sizes: Sizes, rounds: Rounds) -> AsyncIterator[Row]:
    """Several requests with one new prefix."""
    for many in sizes.many:
        context = many * 512
        ours, unshared = Hosted(path, many, context), InProcess(path, many, context, shares=False)
        ways: dict[str, Way] = {"high level": high_level(path, 1024), "unshared": unshared.answer}
        if importlib.util.find_spec("xllamacpp"):
            ways[_COLD] = server(path, many, context)
        elif many == sizes.many[0]:
            print("left out: llama.cpp's server, for which xllamacpp is not installed (pip install xllamacpp)", file=sys.stderr)
        await ours.model.load()
        try:
            taken: dict[str, list[float]] = {name: [] for name in ("ours", *ways)}
            warm: dict[str, list[float]] = {name: [] for name in taken if _COLD in ways and name in ("ours", _COLD)}
            for turn in range(3 * sizes.repeats + 1):
                for name, cold in taken.items():
                    if turn > sizes.repeats and name not in ("ours", "high level"):
                        continue  # these two take little time and are nearest to each other
                    prompts = rounds.next(many)
                    way, pid = (ours.answer, ours.model.pid) if name == "ours" else (ways[name], None)
                    for series in (cold, warm.get(name)):
                        if series is not None and (series is cold or turn <= sizes.repeats):
                            seconds = await cpu(way, prompts, sizes.tokens, pid=pid)
                            series += [seconds] if turn else []  # the first one warms up
        finally:
            await ours.model.close()
            unshared.close()
        goals = {"high level": (1.1, 1.4), "unshared": (1.9, 2.3), _COLD: (2.0, 2.0)}
        for name in ways:
            mine = taken["ours"][: len(taken[name])]
            yield _faster(f"{many} requests, new prefix: {name}", mine, taken[name], goals[name][many > 8])
        if warm:
            yield _slower(f"{many} requests, prefix seen before: server", warm["ours"], warm[_COLD], 1.15)


async def alone(path: Path, sizes: Sizes, rounds: Rounds) -> AsyncIterator[Row]:
    """One request, and where the time of a step goes."""
    with closing(InProcess(path, 8, 4096)) as inner:
        bare = bare_loop(inner)
        mine: list[float] = []
        theirs: list[float] = []
        for turn in range(3 * sizes.repeats + 1):
            ours = Hosted(path, 8, 4096)  # a new one each time: what it keeps for later is no part of one request
            await ours.model.load()
            try:
                one = await cpu(ours.answer, rounds.next(1), sizes.tokens, pid=ours.model.pid)
            finally:
                await ours.model.close()
            other = await cpu(bare, rounds.next(1), sizes.tokens)
            if turn:
                mine.append(one)
                theirs.append(other)
        yield _slower("one request: bare loop", mine, theirs, 1.05)
        for many in (1, 8):
            shares = []
            for _ in range(sizes.repeats):
                seconds = await cpu(inner.answer, rounds.next(many), sizes.tokens)
                shares.append(100 * (1 - inner.decoding / seconds))
            share = statistics.median(shares)
            yield Row(f"Python's share of the time, {many} at once", f"{share:.1f} %", "-", share, "%", must=5)


async def extras(path: Path, sizes: Sizes, rounds: Rounds) -> AsyncIterator[Row]:
    """What a schema and log-probabilities cost a token, beside one request without."""
    with closing(InProcess(path, 8, 4096)) as inner:
        for name, more, goal in (("a JSON schema", {"response_format": FORM}, 1.15), ("confidence", {"confidence": True}, 1.05)):
            plain: list[float] = []
            extra: list[float] = []
            ways: list[tuple[list[float], Way]] = [(plain, inner.answer), (extra, partial(inner.answer, **more))]
            for turn in range(8 * sizes.repeats + 1):
                prompts = rounds.next(1)
                await inner.answer(prompts, 1)  # so that what is compared are answers, not prompts
                for series, way in ways[:: 1 if turn % 2 else -1]:  # neither always comes first
                    seconds = await cpu(way, prompts, sizes.tokens)
                    series += [seconds] if turn else []
            yield _slower(f"a token with {name}: without", extra, plain, goal)


async def mapped(path: Path, sizes: Sizes, _: Rounds) -> AsyncIterator[Row]:
    """A map whose rows all read one document."""
    import graphferry as gf

    document = " ".join(
        f"Section {number}: ferry {number} leaves pier {number % 9} at {number % 24}:15." for number in range(sizes.document)
    )
    asked = {
        "agent": "llmAgent",
        "isResult": True,
        "params": {"temperature": 0, "max_tokens": 4, "system": document},
        "inputs": {"prompt": ":row"},
    }
    graph = {
        "version": 0.5,
        "nodes": {
            "rows": {"value": [f"When does ferry {number} leave?" for number in range(sizes.rows)]},
            "each": {
                "agent": "mapAgent",
                "isResult": True,
                "inputs": {"rows": ":rows"},
                "graph": {"version": 0.5, "nodes": {"asked": asked}},
            },
        },
    }
    ours = Hosted(path, 8, 4096)
    try:
        answers: Any = (await gf.arun(graph, models=ours.model)).results["each"]
    finally:
        await ours.model.close()
    got = [each["asked"] for each in answers]
    if len(got) != sizes.rows:
        raise WrongAnswer(f"{len(got)} rows came, not {sizes.rows}")
    prompts = [each["usage"]["prompt_tokens"] for each in got]
    computed = sum(prompts) - sum(each["cached_tokens"] for each in got)
    shared = min(prompts) - 16  # about: the question and the template's own words come after
    needed = shared + sum(each - shared for each in prompts)
    yield Row(
        f"map of {sizes.rows} rows over a document of {shared} tokens: prompt tokens computed",
        f"{computed:,}",
        f"{needed:,} (document + rows)",
        computed / needed,
        "x",
        must=1.2,
    )


async def restored(path: Path, sizes: Sizes, rounds: Rounds) -> AsyncIterator[Row]:
    """A prompt's beginning out of a file, beside computing it."""
    from graphs.models.llama.states import States

    with closing(InProcess(path, 8, 4096)) as inner:
        reading: list[float] = []
        computing: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            tokens: list[int] = []
            for _ in range(2 * sizes.repeats + 1):
                tokens = inner.engine._prompts.make(rounds.next(1)[0], max_tokens=1).tokens[:300]
                rows = [(token, place, 0, False) for place, token in enumerate(tokens)]
                inner.llama.clear()
                began = time.process_time()
                inner._decode(rows)
                computing.append(time.process_time() - began)
                writer = States(Path(folder), "bench", limit=STATES_LIMIT)
                writer.store(tokens, inner.llama.save(0))
                writer.flush()
                inner.llama.clear()
                began = time.process_time()
                found = States(Path(folder), "bench", limit=STATES_LIMIT).find([*tokens, 0])
                if found is None or not inner.llama.restore(0, found.state):
                    raise WrongAnswer("what was stored is not found")
                reading.append(time.process_time() - began)
        yield _faster(f"{len(tokens)} tokens out of a file: computing them", reading, computing, 20, milliseconds=True)


async def stopped(path: Path, sizes: Sizes, _: Rounds) -> AsyncIterator[Row]:
    """How long a long prompt is computed after nobody wants it any more."""
    with closing(InProcess(path, 8, 4096)) as inner:
        waits: list[float] = []
        for turn in range(4 * sizes.repeats):
            told: list[float] = []

            def interrupt(number: int = turn, told: list[float] = told) -> None:
                told.append(time.perf_counter())
                inner.engine.interrupt(number)

            inner.submit(
                turn, [{"role": "user", "content": " ".join(f"{turn} ferry {number}" for number in range(sizes.rows * 8))}], 1
            )
            timer = threading.Timer(0.05 + 0.1 * (turn % 4), interrupt)
            timer.start()
            while not told:
                inner.engine.step()
            inner.engine.cancel(turn)
            waits.append((time.perf_counter() - told[0]) * 1000)
            timer.join()
        yield Row(
            "a long prompt goes on after it was cancelled, at most", f"{max(waits):.0f} ms", "-", max(waits), "ms", must=100
        )


async def left(path: Path, sizes: Sizes, _: Rounds) -> AsyncIterator[Row]:
    """How soon a caller who leaves is free, whatever its request is doing, and how long the model goes on with it."""
    free: dict[str, list[float]] = {}
    goes_on: list[float] = []
    overrun: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other.gguf"
        other.symlink_to(path)
        for _turn in range(sizes.repeats):
            host = ModelHost(
                files={"one": path, "other": other},
                options=HostOptions(threads=1),
                memory=MemoryOptions(budget=memory_needed(path, 4096) * 3 // 2),
            )
            try:
                async for state, task in _in_each_state(host):
                    began = time.perf_counter()
                    task.cancel()
                    await asyncio.wait((task,))
                    free.setdefault(state, []).append((time.perf_counter() - began) * 1000)
                    while any(model._process and model._process._given_up for model in host._models.values()):  # noqa: ASYNC110 - nothing says so
                        await asyncio.sleep(0.001)
                    if state in _COMPUTED:
                        goes_on.append((time.perf_counter() - began) * 1000)
                for deadline in (50, 300):
                    began = time.perf_counter()
                    with suppress(NodeTimeout):
                        await (await host.get("one")).generate(replace(_long(deadline), deadline_ms=deadline))
                    overrun.append((time.perf_counter() - began) * 1000 - deadline)
            finally:
                await host.close()
    for state, waits in free.items():
        yield Row(f"a caller who leaves {state} is free, at most", f"{max(waits):.1f} ms", "-", max(waits), "ms", must=100)
    yield Row("a model goes on with what nobody wants, at most", f"{max(goes_on):.0f} ms", "-", max(goes_on), "ms", must=100)
    yield Row("a deadline is overrun, at most", f"{max(overrun):.0f} ms", "-", max(overrun), "ms", must=100)


def _long(number: int, words: int = 400, tokens: int = 500) -> GenerationRequest:
    prompt = " ".join(f"{number} ferry {each}" for each in range(words))
    return GenerationRequest([{"role": "user", "content": prompt}], max_tokens=tokens, temperature=0, seed=number)


async def _in_each_state(host: ModelHost) -> AsyncIterator[tuple[str, asyncio.Task[Any]]]:
    """A request in each state it can be in; the caller cancels it before the next one is made."""
    one, other = host._model("one"), host._model("other")

    def asked(request: GenerationRequest, model: Model = one) -> tuple[asyncio.Task[Any], asyncio.Event]:
        begun = asyncio.Event()
        return asyncio.create_task(model.generate(request, lambda _: begun.set())), begun

    loading, _ = asked(_long(0, 2))
    while one._starting is None:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    yield "while its model is loaded", loading
    await one.load()
    reading, _ = asked(_long(1))
    await asyncio.sleep(0.3)
    yield _COMPUTED[0], reading
    writing, begun = asked(_long(2, 2))
    await begun.wait()
    yield _COMPUTED[1], writing
    others = [asked(_long(number, 2)) for number in range(10, 10 + one._options.slots)]
    await asyncio.gather(*(begun.wait() for _, begun in others))
    queued, _ = asked(_long(3, 2))
    await asyncio.sleep(0.3)
    yield "in the queue", queued
    waiting, _ = asked(_long(4, 2), other)
    await asyncio.sleep(0.1)
    yield "before there is room for its model", waiting
    for task, _ in others:
        task.cancel()
    await asyncio.wait([task for task, _ in others])


def _faster(name: str, ours: Sequence[float], theirs: Sequence[float], goal: float, *, milliseconds: bool = False) -> Row:
    return Row(name, _time(ours, milliseconds), _time(theirs, milliseconds), ratio(theirs, ours), "x", must=goal, at_least=True)


def _slower(name: str, ours: Sequence[float], theirs: Sequence[float], goal: float) -> Row:
    return Row(name, _time(ours), _time(theirs), ratio(ours, theirs), "x", must=goal)


def _time(seconds: Sequence[float], milliseconds: bool = False) -> str:
    middle = statistics.median(seconds)
    return f"{middle * 1000:.1f} ms" if milliseconds else f"{middle:.2f} s"


async def measure(path: Path, sizes: Sizes, names: Sequence[str], *, judged: bool) -> list[Row]:
    """The rows of these parts, each told on standard error as soon as it is there."""
    rounds, rows = Rounds(sizes.rules), []
    for name in names:
        with nullcontext() if name in _WAITS else one_core():
            async for row in PARTS[name](path, sizes, rounds):
                row = row if judged else replace(row, must=None)
                print("  ".join(row.cells()), file=sys.stderr)
                rows.append(row)
    return rows


PARTS: Final[Mapping[str, Callable[[Path, Sizes, Rounds], AsyncIterator[Row]]]] = {
    "map": mapped,
    "restore": restored,
    "cancel": stopped,
    "leave": left,
    "extras": extras,
    "alone": alone,
    "together": together,
}


def source() -> Path | None:
    """The small model's file; None, and why on standard error, where it cannot be run."""
    if importlib.util.find_spec("llama_cpp") is None:
        print("left out: all of it, for llama.cpp is not installed (make llama)", file=sys.stderr)
        return None
    try:
        return ModelStore(Environment.current().home("models")).find(DEFAULT_MODEL).path
    except ModelMissing:
        print("left out: all of it, for the small model is not here (make model)", file=sys.stderr)
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and keep it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, once: shows that it works, measures nothing")
    parser.add_argument(
        "--repeats", type=int, default=FULL.repeats, metavar="N", help=f"rounds of what takes longest ({FULL.repeats})"
    )
    parser.add_argument("--only", default=",".join(PARTS), metavar="NAMES", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    path = source()
    if path is None:
        return
    import llama_cpp

    from graphs.models.llama.api import quantise

    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "q4_0.gguf"
        quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(quiet, None)
        quantise(llama_cpp, str(path), str(small), llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0)
        sizes = SMOKE if options.smoke else replace(FULL, repeats=options.repeats)
        rows = asyncio.run(measure(small, sizes, options.only.split(","), judged=not options.smoke))
    print(table(rows))
    if options.write:
        build = llama_cpp.llama_print_system_info().decode().strip().rstrip("|").strip()
        command = "python -m benchmarks.models" + (f" --repeats {options.repeats}" if options.repeats != FULL.repeats else "")
        command += f" --only {options.only}" if options.only != ",".join(PARTS) else ""
        peer = f"; xllamacpp {version('xllamacpp')} as it comes" if importlib.util.find_spec("xllamacpp") else ""
        title = (
            f"## Models\n\n`{command} --write`, {time.strftime('%Y-%m-%d')}, on {machine()}; llama.cpp built with {build}{peer}"
        )
        write_section(ROOT / "benchmarks" / "RESULTS.md", "models", f"{title}\n\n{table(rows)}\n\n{_READING}")


if __name__ == "__main__":
    main()
