"""Every conformance case, GraphAI's and our own, run with the real engine and runtime in this process: here, at a worker, and with
each node at one or the other by the toss of a coin. The coin's seed is in the test's id.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.harness import load_case, verdict

FOLDER = Path(__file__).parent / "conformance"
CASES = sorted([*(FOLDER / "cases").glob("*.yaml"), *(FOLDER / "own").glob("*.yaml")])
PLACES = [("edge", 0), ("cloud", 0), ("random", 1), ("random", 4)]


def test_there_are_cases_of_both_kinds() -> None:
    assert {path.parent.name for path in CASES} == {"cases", "own"}


def test_every_case_is_named_as_its_file_and_names_are_unique() -> None:
    assert [load_case(path)["id"] for path in CASES] == [path.stem for path in CASES]
    assert len({path.stem for path in CASES}) == len(CASES)


@pytest.mark.parametrize(("place", "seed"), PLACES, ids=[f"{place}-{seed}" if seed else place for place, seed in PLACES])
@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_a_case_runs_as_it_says_wherever_its_nodes_are(path: Path, place: str, seed: int) -> None:
    assert verdict(path, place=place, seed=seed) == []
