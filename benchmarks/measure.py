"""Measuring side by side: runs take turns, every answer is checked, and what is judged is a ratio between neighbours in time."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from benchmarks.bounds import Run

__all__ = [
    "ROOT",
    "Row",
    "Sample",
    "Sampler",
    "Series",
    "WrongAnswer",
    "check",
    "fresh",
    "interleave",
    "machine",
    "one_core",
    "per",
    "ratio",
    "table",
    "timed",
    "write_section",
]

ROOT: Final = Path(__file__).resolve().parent.parent


class WrongAnswer(Exception):
    """A run gave something else than was computed without an engine: nothing it measured counts."""


class Sample(NamedTuple):
    """One run: seconds of CPU time of this process, all threads, and seconds that passed."""

    cpu: float
    wall: float


Series: TypeAlias = list[Sample]

Sampler: TypeAlias = Callable[[], Coroutine[Any, Any, Sample]]
"""Runs something once and measures it."""


def check(name: str, answer: int, expected: int) -> None:
    """Raises WrongAnswer unless the answer is the expected one."""
    if answer != expected:
        raise WrongAnswer(f"{name} gave {answer}, but without an engine it comes to {expected}")


def timed(name: str, run: Run, expected: int) -> Sampler:
    """A run that measures itself and checks its answer."""

    async def sample() -> Sample:
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        answer = await run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        check(name, answer, expected)
        return Sample(cpu, wall)

    return sample


async def interleave(runs: Sequence[Sampler], repeats: int) -> list[Series]:
    """The samples of each run, in the runs' order. They take turns; a first round warms up and is not counted."""
    for run in runs:
        await run()
    taken: list[Series] = [[] for _ in runs]
    for _ in range(repeats):
        for series, run in zip(taken, runs, strict=True):
            series.append(await run())
    return taken


@contextmanager
def one_core() -> Iterator[None]:
    """Stay on one core, with all processes that are started meanwhile, where the system lets us choose.

    Cores of a shared machine differ in speed, by 1.7 times from one second to the next where these figures were taken: what is compared must
    take turns on the same one.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def per(series: Iterable[float], count: int) -> float:
    """The median in microseconds for each of `count`."""
    return statistics.median(series) / count * 1e6


def ratio(ours: Iterable[float], bound: Iterable[float]) -> float:
    """The median of the ratios between neighbours, which a machine that slows down meanwhile disturbs least."""
    return statistics.median(mine / theirs for mine, theirs in zip(ours, bound, strict=True))


def fresh(script: str, *arguments: str, bytecode: str | None = None) -> dict[str, float]:
    """What a script of benchmarks/fresh prints about itself, run in a new process.

    With a folder `bytecode` all modules are compiled there by the first run and only read by later ones, as in an installed program.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    if bytecode is not None:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "fresh" / f"{script}.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WrongAnswer(f"benchmarks/fresh/{script}.py failed: {done.stderr.strip()}")
    printed: dict[str, float] = json.loads(done.stdout)
    return printed


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `value` is what is judged by `must` and `stretch`, in `unit`; `ours` and `bound` are how it came about."""

    measure: str
    ours: str
    bound: str
    value: float
    unit: str
    must: float | None = None
    stretch: float | None = None
    at_least: bool = False

    def met(self) -> str:
        """Whether the goal is met, in a word."""
        if self.must is None:
            return "-"
        if not self._reaches(self.must):
            return "no"
        return "stretch" if self.stretch is not None and self._reaches(self.stretch) else "yes"

    def _reaches(self, goal: float) -> bool:
        return self.value >= goal if self.at_least else self.value <= goal

    def cells(self) -> tuple[str, ...]:
        """The line's texts, in the order of the table's columns."""
        sign = ">=" if self.at_least else "<="
        must, stretch = (f"{sign} {_number(goal)} {self.unit}" if goal is not None else "-" for goal in (self.must, self.stretch))
        return self.measure, self.ours, self.bound, f"{_number(self.value)} {self.unit}", must, stretch, self.met()

    def plain(self) -> dict[str, Any]:
        """The line as data."""
        return {**asdict(self), "met": self.met()}


_COLUMNS: Final = ("measure", "ours", "bound", "ratio or value", "must", "stretch", "met")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that is a table to the eye as well."""
    lines = [_COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_COLUMNS))]
    texts = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def machine() -> str:
    """Where this was measured, in a line: processor, cores, load, system, Python."""
    load = os.getloadavg()[0]
    system = f"{platform.system()} {platform.release()}, {platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {len(_cores())} cores, load {load:.1f}, {system}"


def _cores() -> Sequence[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)  # noqa: TID251 - told, not used


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write_section(path: Path, name: str, text: str) -> None:
    """Replace the section `name` of a results file, or add it: other sections stay."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before = path.read_text() if path.exists() else "# Results\n"
    head, found, rest = before.partition(begin)
    tail = rest.partition(end)[2] if found else ""
    path.write_text(f"{head.rstrip()}\n\n{begin}{text.strip()}\n{end}{tail}")
