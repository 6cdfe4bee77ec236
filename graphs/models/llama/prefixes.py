"""Which sequences of a model's context are free, and which hold the tokens of finished work for others to begin with.

Pure: it knows numbers and tokens, not the context. A sequence that begins another is copied there for next to nothing, so work that
was done once serves every prompt that begins with the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Kept", "Prefixes", "shared_length"]


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two lists begin with in common."""
    high = min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    low = 0  # the lists are the same up to `low` and not up to `high`
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(eq=False, slots=True)
class Kept:
    """Tokens that lie ready in a sequence, for prompts of one `account`. `pins` says for how many running answers they were the beginning: as long
    as one runs, giving them up frees nothing. `lasting` ones were announced as the beginning of several prompts."""

    sequence: int
    tokens: list[int]
    lasting: bool = False
    pins: int = 0
    used: int = field(default=0)
    answer: int = field(default=0)
    account: str = ""


class Prefixes:
    """The sequences 0 to `sequences` - 1. At most `most` of them are kept, the others are for running answers.

    What is kept costs every computation a little, some eight per cent for a thousand cells with a small model, and three times that
    where sixteen answers are written together: attention looks at all cells in use. So of `cells` an eighth may be kept for announced
    beginnings and a sixteenth for what else was computed, the last used whatever its length; and what none of the last `patience`
    answers began with is given up.
    """

    def __init__(self, sequences: int, most: int, cells: int, patience: int) -> None:
        self._free = list(range(sequences - 1, -1, -1))
        self._most = most
        self._lasting, self._passing = cells // 8, cells // 16
        self._kept: dict[int, Kept] = {}
        self._patience = patience
        self._uses = 0
        self._answers = 0

    def __len__(self) -> int:
        return len(self._kept)

    def take(self) -> int | None:
        """A free sequence's number; None if there is none."""
        return self._free.pop() if self._free else None

    def give_back(self, sequence: int) -> None:
        """A sequence that was taken is free again, and empty."""
        self._free.append(sequence)

    def find(self, tokens: Sequence[int], account: str = "") -> tuple[Kept | None, int]:
        """What holds the most of the tokens' beginning for this account, and how many of them; of equals the lasting one."""
        best, most = None, 0
        for kept in self._kept.values():
            if kept.account != account:
                continue
            length = shared_length(tokens, kept.tokens)
            if length > most or (best is not None and length == most and kept.lasting and not best.lasting):
                best, most = kept, length
        return best, most

    def use(self, kept: Kept) -> None:
        """Notes that a running answer begins with it; `done_with` is called once for each."""
        kept.pins += 1
        self._touch(kept)

    def done_with(self, kept: Kept) -> None:
        kept.pins -= 1

    def keep(
        self, sequence: int, tokens: Sequence[int], account: str = "", *, lasting: bool = False
    ) -> tuple[Kept | None, list[int]]:
        """Keeps a taken sequence with its tokens; what it is kept as, and the sequences that are to be emptied now.

        Where the same tokens lie ready already it is itself among those. What it begins with is given up for it, unless lasting.
        """
        tokens = list(tokens)
        holder, length = self.find(tokens, account)
        if not tokens or (holder is not None and length == len(tokens) and (holder.lasting or not lasting)):
            if holder is not None:
                self._touch(holder)
            self.give_back(sequence)
            return None, [sequence]
        emptied = [
            self._drop(each)
            for each in list(self._kept.values())
            if not each.pins
            and each.account == account
            and (not each.lasting or lasting)
            and tokens[: len(each.tokens)] == each.tokens
        ]
        kept = self._kept[sequence] = Kept(sequence, tokens, lasting, account=account)
        self._touch(kept)
        while len(self._kept) > self._most and (evicted := self.evict(besides=kept)) is not None:
            emptied.append(evicted)
        return kept, emptied + self._trimmed(kept)

    def _trimmed(self, besides: Kept) -> list[int]:
        """Gives up what was not used for longest until the rest is within its limits; their sequences."""
        emptied = []
        idle = sorted((each for each in self._kept.values() if not each.pins and each is not besides), key=lambda each: each.used)
        for each in idle:
            lasting = _distinct([kept for kept in self._kept.values() if kept.lasting])
            size = lasting if each.lasting else _distinct(list(self._kept.values())) - lasting
            if size > (self._lasting if each.lasting else self._passing):
                emptied.append(self._drop(each))
        return emptied

    def begin(self) -> list[int]:
        """Another answer began, after `use` of what it begins with. Gives up what is out of use; the sequences to be emptied."""
        self._answers += 1
        stale = [kept for kept in self._kept.values() if not kept.pins and self._answers - kept.answer >= self._patience]
        return [self._drop(kept) for kept in stale]

    def evict(self, besides: Kept | None = None, *, pinned: bool = False) -> int | None:
        """Gives up what was not used for longest; its sequence, to be emptied. None if all is in use, unless `pinned` may go too."""
        idle = [kept for kept in self._kept.values() if (pinned or not kept.pins) and kept is not besides]
        return self._drop(min(idle, key=lambda kept: kept.used)) if idle else None

    def forget(self, kept: Kept) -> int:
        """Gives up one; its sequence, to be emptied."""
        return self._drop(kept)

    def _touch(self, kept: Kept) -> None:
        self._uses += 1
        kept.used, kept.answer = self._uses, self._answers

    def _drop(self, kept: Kept) -> int:
        del self._kept[kept.sequence]
        self._free.append(kept.sequence)
        return kept.sequence


def _distinct(kept: list[Kept]) -> int:
    """How many cells they take together: a common beginning lies there once."""
    lists = sorted(each.tokens for each in kept)
    return sum(map(len, lists)) - sum(shared_length(one, other) for one, other in pairwise(lists))
