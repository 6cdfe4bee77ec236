"""No labelled value that is not cleared leaves the device, in whatever form: a few hundred random graphs here, ten thousand by `make canaries`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from canaries.kept import Withheld, found_in_files
from canaries.planted import Canary, _made
from canaries.play import Leak, Tally, play, playground
from graphs.language.labels import label_graph
from graphs.language.spec import Graph
from graphs.values import clean
from protocol.payload import _body

SEED = int(os.environ.get("CANARIES_SEED") or 149_097_558)


def played(seeds: Iterable[int], *, broken: bool = False, named: bool = True, moves: float = 0.4) -> Tally:
    async def main() -> Tally:
        async with playground() as ground:
            return await play(ground, seeds, broken=broken, named=named, moves=moves)

    return asyncio.run(main())


def test_no_canary_is_on_the_wire() -> None:
    print(f"seeds from {SEED}")
    tally = played(range(SEED, SEED + 100))
    assert tally.secret > 100
    assert tally.moves["sync on"] > 5
    assert tally.shown > 0, "what is cleared does travel, and is found"
    assert tally.bytes > 0


def test_a_placement_that_sends_everything_away_leaks_nothing_either() -> None:
    print(f"seeds from {SEED + 10_000}, placement broken")
    tally = played(range(SEED + 10_000, SEED + 10_060), broken=True)
    assert tally.withheld > 10
    assert tally.replaced > 10, "what the gate cut off ran on the device"


NOT_NOTED = "what only shows while a run runs is not noted with it"
NO_GRAPH = Graph({"version": 0.5, "nodes": {}})
BUGS: dict[str, dict[str, Callable[..., Any]]] = {
    "nobody tells the gate what a boundary value carries": {"edge.ferrying.child_log.labels_of": lambda *_args: frozenset()},
    "nobody tells it what a cut carries": {"edge.ferrying.child_log.labels_of_cut": lambda *_args: ((), ())},
    "a value is taken to have no labels": {"graphs.language.run_labels.RunLabels.value": lambda *_args: frozenset()},
    "no label is found in any graph": {
        "graphs.language.run_labels.label_graph": lambda *_args, **_more: label_graph(NO_GRAPH),
    },
    "labels do not spread": {"graphs.language.labels.Spread.spread": lambda _self: None},
    "labels are looked up in the wrong graph": {
        "graphs.language.run_labels.document_path": lambda path: path.rpartition("/")[2],
    },
    "a cut has labelled values in its text": {
        "graphs.language.cut.words": lambda _said: (),
        "edge.ferrying.fragments.Fragments._labels_in": lambda *_args: {},
        "edge.ferrying.child_log.labels_of_cut": lambda *_args: ((), ()),
    },
    NOT_NOTED: {"graphs.language.run_labels.RunLabels.tell": lambda _self: None},
}


def planted(bug: str) -> ExitStack:
    stack = ExitStack()
    for name, instead in BUGS[bug].items():
        stack.enter_context(patch(name, instead))
    return stack


def deaf() -> Any:
    return patch("graphs.language.hearing.Hearing.tell", lambda _self: None)


@pytest.mark.parametrize("bug", BUGS)
def test_the_gate_takes_nobodys_word_for_what_a_value_carries(bug: str) -> None:
    first = SEED + 20_000 + 100 * list(BUGS).index(bug)
    print(f"seeds from {first}, placement broken, and: {bug}")
    with planted(bug):
        tally = played(range(first, first + 25), broken=True, named=False, moves=0.8)
    assert tally.secret > 10
    assert tally.moves.total() > 10, "whole runs are copied, too, and done again elsewhere"


def test_nor_does_a_copy_rest_on_what_is_heard_alone() -> None:
    print(f"seeds from {SEED + 30_000}, placement broken, and nothing is heard of labels")
    with deaf():
        assert played(range(SEED + 30_000, SEED + 30_025), broken=True, moves=0.8).moves.total() > 10


def test_what_a_later_play_was_cleared_to_go_on_with_is_at_the_worker_by_right() -> None:
    """A part that the first of them left open is sent by the last, whose account takes what its labels are."""
    with planted(NOT_NOTED):
        assert played(range(734470365, 734470377), broken=True, named=False, moves=0.8).moves["sync there"] > 0


def test_who_goes_on_with_a_fork_and_may_not_have_a_value_of_it_is_told_so() -> None:
    """The node has its result, and is not made again: it waits, and the run is suspended."""
    assert played(range(149097570, 149097571)).moves["do again"] == 1


# -- what the test is worth


ONLY_COPIED: dict[str, tuple[int, ...]] = {
    "no label is found in any graph": (103038, 103128, 103187),
    NOT_NOTED: (103038, 103128, 103187),
}


@pytest.mark.parametrize("bug", ONLY_COPIED)
def test_in_copies_they_are_found_if_nothing_is_heard_of_labels(bug: str) -> None:
    with deaf(), planted(bug), pytest.raises(Leak, match="was on the wire"):
        played(ONLY_COPIED[bug], broken=True, named=False, moves=1.0)


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug != NOT_NOTED])
def test_with_a_gate_that_believes_what_it_is_told_they_are_found(bug: str) -> None:
    with patch("edge.privacy.judge.Judge.watch", lambda *_args: None), planted(bug), pytest.raises(Leak, match="was on the wire"):
        played(range(100), broken=True, named=False)


def test_without_the_gate_they_are_found() -> None:
    with patch("edge.ferrying.worker.WorkerLink._lets", lambda *_args: True), pytest.raises(Leak, match="was on the wire"):
        played(range(50), broken=True)


def test_a_labelled_value_named_by_its_hash_is_found() -> None:
    def by_hash(value: object, _labels: object, handle: bytes) -> object:
        return _body(value, (), handle)

    with patch("protocol.payload._body", by_hash), pytest.raises(Leak, match="named by its hash"):
        played(range(100))


def test_all_forms_of_a_canary_are_looked_for() -> None:
    forms = list(Canary("abcdefghijklmnopqrstuvwx", frozenset({"amber"})).forms())
    assert {b"abcdefgh", b"qrstuvwx", b"6162636465666768696a6b6c6d6e6f707172737475767778"} <= set(forms)
    assert b"ZGVmZ2hpamtsbW5vcHFyc3R1" in forms
    assert len(forms) == len(set(forms))


def test_a_value_in_a_log_is_found() -> None:
    def made(context: Any) -> Any:
        logging.getLogger("graphferry.some").debug("made of %r", clean(context.inputs))
        return _made(context)

    with patch("canaries.planted._made", made), pytest.raises(Leak, match="is in a log"):
        played(range(20))


def test_what_another_account_is_given_is_found() -> None:
    with patch("protocol.shared.Shared._sees", lambda _self, row: row is not None), pytest.raises(Leak, match="another account"):
        played(range(100), moves=1.0)


def test_what_the_worker_may_not_have_is_found_in_its_files(tmp_path: Path) -> None:
    text = "abcdefghijklmnopqrstuvwx"
    (tmp_path / "worker.db").write_bytes(b"\0" + text.encode() + b"yz sesame-1")
    assert list(found_in_files(tmp_path.iterdir(), {text: 1}, ["sesame-1"])) == [
        (tmp_path / "worker.db", "sesame-1"),
        (tmp_path / "worker.db", text),
    ]


def test_what_no_play_so_far_was_cleared_for_is_found_before_one_is(tmp_path: Path) -> None:
    first, second = (
        Canary("abcdefghijklmnopqrstuvwx", frozenset({"amber"})),
        Canary("ABCDEFGHIJKLMNOPQRSTUVWX", frozenset({"blue"})),
    )
    withheld = Withheld(tmp_path, "worker")
    assert not list(withheld.begin(1, [first, second], frozenset({"blue"})))
    (tmp_path / "another.db").write_text(first.text)
    (tmp_path / "worker.db").write_text(second.text)
    assert not list(withheld.begin(2, [], frozenset({"crimson"})))
    assert not list(withheld.found()), "one is elsewhere, the other may be there"
    (tmp_path / "worker.db").write_text(first.text)
    found = [(1, tmp_path / "worker.db", first.text)]
    assert list(withheld.found()) == found
    assert list(withheld.begin(3, [], frozenset({"amber"}))) == found, "it came before it was cleared"
    assert not list(withheld.found()), "from now on it may be there"
