"""For all tests of the simulation: processes die in it, and what was theirs is nobody's fault."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXPECTED = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(EXPECTED)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """What died with its process goes now, not in the middle of another test."""
    yield
    gc.collect()
