"""The queue: priorities, limits, labels, and the room that nested graphs make."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from graphs.engine.limits import Queue


@dataclass(eq=False)
class Node:
    name: str
    priority: float = 0
    label: str | None = None


FRAME = object()


def started(queue: Queue) -> list[str]:
    """Whatever may start now, in order."""
    names = []
    while (entry := queue.take()) is not None:
        names.append(entry[1].name)
    return names


def test_a_node_stands_behind_all_of_the_same_or_higher_priority() -> None:
    queue = Queue(9, {})
    for name, priority in [("a", 0), ("b", -1), ("c", 5), ("d", 0), ("e", 5), ("f", 0.5)]:
        queue.push(FRAME, Node(name, priority))
    assert started(queue) == ["c", "e", "f", "a", "d", "b"]
    assert (queue.waiting, queue.running) == (0, 6)


def test_no_more_start_than_there_are_places() -> None:
    queue = Queue(2, {})
    nodes = [Node(str(number)) for number in range(4)]
    for node in nodes:
        queue.push(FRAME, node)
    assert started(queue) == ["0", "1"]
    queue.leave(nodes[0])
    assert started(queue) == ["2"]
    assert queue.waiting == 1


def test_what_is_at_its_labels_limit_is_passed_over() -> None:
    queue = Queue(3, {"big": 1})
    for node in [Node("b1", label="big"), Node("b2", label="big"), Node("x", label="other"), Node("y")]:
        queue.push(FRAME, node)
    assert started(queue) == ["b1", "x", "y"]
    queue.leave(Node("b1", label="big"))
    assert started(queue) == ["b2"]


def test_a_free_place_is_entered_without_queueing_only_if_nobody_waits() -> None:
    queue = Queue(2, {"big": 1})
    assert queue.enter(FRAME, Node("a", label="big"))
    assert not queue.enter(FRAME, Node("b", label="big"))
    queue.push(FRAME, Node("b", label="big"))
    assert not queue.enter(FRAME, Node("c"))
    assert queue.running == 1


def test_a_nested_graph_makes_room_for_one_and_takes_it_away_again() -> None:
    queue, parent = Queue(1, {}), Node("parent")
    assert queue.enter(FRAME, parent)
    assert not queue.idle
    queue.open(FRAME, parent)
    assert queue.idle
    assert queue.enter(object(), Node("child"))
    assert not queue.idle
    assert not queue.enter(object(), Node("other"))
    queue.leave(Node("child"))
    queue.close(FRAME, parent)
    queue.leave(parent)
    assert (queue.limit, queue.running) == (1, 0)
    assert queue.idle


def test_a_node_that_only_waits_rests_and_is_not_over() -> None:
    queue = Queue(2, {})
    assert queue.enter(FRAME, Node("a"))
    with queue.rests():
        assert queue.resting
        assert not queue.idle
        assert queue.enter(FRAME, Node("b"))
        assert not queue.resting
        queue.leave(Node("b"))
    assert not queue.resting


def test_children_of_a_labelled_parent_may_exceed_its_label_by_one_and_siblings_may_not() -> None:
    queue, parent = Queue(9, {"big": 1}), Node("parent", label="big")
    assert queue.enter(FRAME, parent)
    queue.open(FRAME, parent)
    assert not queue.enter(FRAME, Node("sibling", label="big"))
    inside = object()
    assert queue.enter(inside, Node("child", label="big"))
    assert not queue.enter(inside, Node("second child", label="big"))


def test_what_waits_of_one_frame_can_be_dropped_and_one_entry_withdrawn() -> None:
    queue, other = Queue(0, {}), object()
    mine, urgent, theirs = Node("mine"), Node("urgent", 3), Node("theirs")
    queue.push(FRAME, mine)
    queue.push(FRAME, urgent)
    queue.push(other, theirs)
    assert queue.withdraw(FRAME, urgent)
    assert not queue.withdraw(FRAME, urgent)
    assert not queue.withdraw(FRAME, Node("never here", 8))
    queue.drop(lambda frame: frame is FRAME)
    queue.limit = 9
    assert started(queue) == ["theirs"]
    assert queue.waiting == 0


def test_one_entry_is_withdrawn_from_a_line_of_one_priority() -> None:
    queue = Queue(9, {})
    first, second = Node("first"), Node("second")
    queue.push(FRAME, first)
    queue.push(FRAME, second)
    assert queue.withdraw(FRAME, first)
    assert not queue.withdraw(FRAME, first)
    assert started(queue) == ["second"]


def test_against_a_list_that_is_sorted_anew_each_time() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(200):
        labels = {label: chance.randint(1, 2) for label in ("a", "b") if chance.random() < 0.5}
        queue, waiting, running = Queue(chance.randint(1, 4), labels), list[Any](), list[Node]()
        for number in range(40):
            if running and chance.random() < 0.4:
                node = running.pop(chance.randrange(len(running)))
                queue.leave(node)
            else:
                node = Node(str(number), chance.choice([0, 0, 0, 1, -1]), chance.choice([None, "a", "b"]))
                queue.push(FRAME, node)
                waiting.append(node)
                waiting.sort(key=lambda each: -each.priority)
            expected = []
            for node in list(waiting):
                taken = sum(each.label == node.label for each in running)
                if len(running) < queue.limit and taken < labels.get(node.label, 99):
                    waiting.remove(node)
                    running.append(node)
                    expected.append(node.name)
            assert started(queue) == expected
