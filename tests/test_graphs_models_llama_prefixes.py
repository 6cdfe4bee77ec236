from __future__ import annotations

from hypothesis import given, strategies as st

from graphs.models.llama.prefixes import Prefixes, shared_length

TOKENS = st.lists(st.integers(0, 2), max_size=12)


@given(TOKENS, TOKENS)
def test_shared_length_is_the_longest_common_beginning(one: list[int], other: list[int]) -> None:
    length = shared_length(one, other)
    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]


def kept(*lists: list[int], most: int = 4) -> Prefixes:
    prefixes = Prefixes(most + 2, most, 2000, 3)
    for tokens in lists:
        sequence = prefixes.take()
        assert sequence is not None
        prefixes.keep(sequence, tokens)
    return prefixes


def test_the_longest_beginning_is_found_and_of_equals_the_lasting_one() -> None:
    prefixes = kept([1, 2, 9], [1, 2, 3, 4])
    holder, length = prefixes.find([1, 2, 3, 5])
    assert (holder and holder.tokens, length) == ([1, 2, 3, 4], 3)
    sequence = prefixes.take()
    assert sequence is not None
    lasting, _ = prefixes.keep(sequence, [1, 2, 3], lasting=True)
    assert prefixes.find([1, 2, 3, 5]) == (lasting, 3)
    assert prefixes.find([7]) == (None, 0)


def test_what_lies_ready_already_is_not_kept_twice_and_what_a_longer_one_begins_with_goes() -> None:
    prefixes = kept([1, 2])
    sequence = prefixes.take()
    assert sequence is not None
    assert prefixes.keep(sequence, [1, 2]) == (None, [sequence])
    longer = prefixes.take()
    assert longer is not None
    entry, emptied = prefixes.keep(longer, [1, 2, 3])
    assert entry is not None
    assert len(emptied) == 1
    assert len(prefixes) == 1
    announced = prefixes.take()
    assert announced is not None
    assert prefixes.keep(announced, [1, 2], lasting=True)[1] == []
    assert len(prefixes) == 2


def test_the_one_used_longest_ago_goes_first_but_never_one_in_use() -> None:
    prefixes = kept([1], [2], [3])
    first, _ = prefixes.find([1])
    second, _ = prefixes.find([2])
    assert first is not None
    assert second is not None
    prefixes.use(first)
    prefixes.use(second)
    prefixes.done_with(second)
    prefixes.evict()
    assert prefixes.find([3]) == (None, 0)
    assert prefixes.evict() == second.sequence
    assert prefixes.evict() is None
    assert prefixes.evict(pinned=True) == first.sequence


def test_what_is_kept_takes_its_part_of_the_cells_and_the_last_stays() -> None:
    prefixes = Prefixes(12, 10, 160, 99)

    def keep(first: int, length: int, *, lasting: bool = False) -> None:
        sequence = prefixes.take()
        assert sequence is not None
        prefixes.keep(sequence, [first, *range(100, 99 + length)], lasting=lasting)

    def lengths() -> list[int]:
        return sorted(len(each.tokens) for each in prefixes._kept.values())

    for first in range(4):
        keep(first, 6, lasting=True)
    assert lengths() == [6, 6, 6]
    keep(9, 5)
    keep(8, 4)
    assert lengths() == [4, 5, 6, 6, 6]
    keep(7, 40)
    assert lengths() == [6, 6, 6, 40]
    keep(6, 5)
    assert lengths() == [5, 6, 6, 6]


def test_what_no_answer_began_with_for_long_is_given_up() -> None:
    prefixes = kept([1], [2], [3])
    for tokens in ([1], [2]):
        entry, _ = prefixes.find(tokens)
        assert entry is not None
        prefixes.use(entry)
        if tokens == [1]:
            prefixes.done_with(entry)
    assert [prefixes.begin() for _ in range(2)] == [[], []]
    assert len(prefixes.begin()) == 2
    assert prefixes.find([2])[1] == 1  # in use


def test_a_common_beginning_counts_once() -> None:
    prefixes = Prefixes(12, 10, 160, 99)
    for last in range(6):
        sequence = prefixes.take()
        assert sequence is not None
        prefixes.keep(sequence, [*range(15), 100 + last], lasting=True)
    assert len(prefixes) == 5  # 15 + 5 cells of 20


@given(st.lists(st.tuples(TOKENS, st.booleans()), max_size=30))
def test_sequences_are_never_lost_nor_handed_out_twice(works: list[tuple[list[int], bool]]) -> None:
    prefixes = Prefixes(7, 5, 2000, 3)
    for tokens, lasting in works:
        sequence = prefixes.take()
        assert sequence is not None
        entry, emptied = prefixes.keep(sequence, tokens, lasting=lasting)
        assert (entry is None) == (sequence in emptied)
        assert len(prefixes) <= 5
    free = []
    while (sequence := prefixes.take()) is not None:
        free.append(sequence)
    assert len(set(free)) == len(free) == 7 - len(prefixes)
