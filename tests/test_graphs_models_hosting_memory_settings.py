from __future__ import annotations

from typing import Any

import pytest

from graphs.errors import UsageError
from graphs.models.hosting.memory_settings import MemoryOptions, read_memory


def test_what_is_left_out_is_as_usual() -> None:
    assert read_memory(None, "here") == read_memory({}, "here") == MemoryOptions(None, 0.6, 300.0)


@pytest.mark.parametrize(
    ("entry", "options"),
    [
        ({"budget": "25%"}, MemoryOptions(share=0.25)),
        ({"budget": "4GB"}, MemoryOptions(4 * 10**9)),
        ({"budget": "1.5 g"}, MemoryOptions(1_500_000_000)),
        ({"budget": 5000}, MemoryOptions(5000)),
        ({"keep_alive": 0}, MemoryOptions(keep_alive=0)),
        ({"keep_alive": -1}, MemoryOptions(keep_alive=-1)),
        ({"keep_alive": "2h", "pin": ["a", "b"]}, MemoryOptions(keep_alive=7200, pinned=frozenset("ab"))),
    ],
)
def test_amounts_are_written_in_the_usual_ways(entry: dict[str, Any], options: MemoryOptions) -> None:
    assert read_memory(entry, "here") == options


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("60%", "here is a map"),
        ({"bugdet": "60%"}, "here is a map with budget, keep_alive, pin"),
        ({"budget": "0%"}, "here.budget is a share"),
        ({"budget": "101%"}, "here.budget is a share"),
        ({"budget": 0}, "here.budget is a share"),
        ({"budget": "many"}, "here.budget is a share"),
        ({"budget": True}, "here.budget is a share"),
        ({"keep_alive": "5 days"}, "here.keep_alive is a duration"),
        ({"keep_alive": -2}, "here.keep_alive is a duration"),
        ({"pin": "small"}, "here.pin is a list"),
    ],
)
def test_a_mistake_says_where_it_is(entry: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_memory(entry, "here")
    assert told in str(caught.value)
