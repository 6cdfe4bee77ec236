"""Whose values the device reads itself: in doubt, it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delegated import Device, result, with_device
from edge.ferrying.needs import Unread, read_here
from graphs.engine.plan import Compiler
from graphs.errors import LinkCondition
from graphs.language.load import load
from graphs.language.spec import Graph
from graphs.loadagents import known_agents
from graphs.paths import escape
from graphs.records import Close, Input, State, Submit
from protocol.payload import blobref

AGENTS = known_agents(())


def needed(text: str, *, everything: bool = False) -> set[str]:
    """Of the nodes in `text`; those with `place: cloud` run at the worker."""
    document: Any = load("version: 0.5\n" + text).data
    places = {escape(name): "cloud" for name, spec in document["nodes"].items() if spec.get("place") == "cloud"}
    plan = Compiler(AGENTS, places=places).plan(Graph.of(document, AGENTS.keys()))
    return set(read_here(plan, everything=everything)) & set(places)


BIG = "big: {agent: copyAgent, place: cloud, inputs: {x: 1}}"


@pytest.mark.parametrize(
    ("reader", "reads"),
    [
        ("{agent: copyAgent, place: cloud, inputs: {x: :big}}", False),
        ("{agent: copyAgent, place: cloud, inputs: {x: :big.x.y}}", False),
        ('{agent: stringTemplateAgent, place: cloud, params: {template: "${t}"}, inputs: {t: "so: ${:big.x}"}}', False),
        ('{agent: copyAgent, place: cloud, inputs: {x: ":big.x.length()"}}', True),
        ("{agent: copyAgent, place: cloud, if: :big, inputs: {x: 1}}", True),
        ("{agent: copyAgent, place: cloud, unless: :big.x, inputs: {x: 1}}", True),
        ("{agent: copyAgent, place: cloud, anyInput: true, if: :big, inputs: {x: :big}}", False),
        ("{agent: :big.agent, place: cloud, inputs: {x: 1}}", True),
        ("{agent: copyAgent, place: cloud, passThrough: {x: :big}, inputs: {x: 1}}", False),
        ("{agent: stringTemplateAgent, inputs: {x: :big}}", True),
        ("{agent: stringTemplateAgent, passThrough: {x: :big}, inputs: {x: 1}}", True),
        ("{agent: stringTemplateAgent, if: :big, inputs: {x: 1}}", True),
        ("{agent: copyAgent, inputs: {x: :big}}", False),
        ("{agent: copyAgent, inputs: {x: :big}, isResult: true}", True),
        ("{agent: copyAgent, inputs: {x: :big.x}}", True),
        ("{agent: copyAgent, inputs: {x: [:big]}}", True),
        ("{agent: copyAgent, if: :big, inputs: {x: :big}}", True),
        ("{agent: copyAgent, output: {y: .x}, inputs: {x: :big}}", True),
        ('{value: 1, update: ":big"}', False),
        ('{value: 1, update: ":big.x"}', True),
    ],
)
def test_a_reader_decides(reader: str, reads: bool) -> None:
    assert ("big" in needed(f"loop: {{count: 2}}\nnodes:\n  {BIG}\n  reader: {reader}\n")) is reads


def test_what_is_handed_on_is_needed_where_it_ends() -> None:
    text = f"""
loop: {{count: 2}}
nodes:
  kept: {{value: 1, update: ":copy"}}
  {BIG}
  copy: {{agent: copyAgent, inputs: {{x: :big}}}}
  end: {{agent: stringTemplateAgent, inputs: {{x: :kept}}}}
"""
    assert needed(text) == {"big"}
    assert needed(text.replace("agent: stringTemplateAgent,", "agent: copyAgent, place: cloud,")) == set()


def test_results_and_conditions_of_loops_are_read() -> None:
    assert needed(f"nodes:\n  {BIG.replace('inputs', 'isResult: true, inputs')}\n") == {"big"}
    assert needed(f'loop: {{while: ":big"}}\nnodes:\n  {BIG}\n') == {"big"}
    assert needed(f"nodes:\n  {BIG}\n") == set()
    assert needed(f"nodes:\n  {BIG}\n", everything=True) == {"big"}


# -- a run whose values stay away

REFERENCE = blobref(bytes(32), 70_000)
CHAIN = """\
version: 0.5
nodes:
  text: {value: hi}
  here: {agent: copyAgent, inputs: {t: :text}}
  far: {agent: copyAgent, inputs: {t: :here.t}}
  off: {agent: copyAgent, inputs: {t: :text}}
  last: {agent: copyAgent, isResult: true, inputs: {t: ":far.t", o: ":off.t"}}
"""


def test_the_devices_engine_goes_on_with_a_value_that_stays_at_the_worker(tmp_path: Path) -> None:
    left: list[bool] = []

    async def play(device: Device) -> None:
        await device.link.until(Input)
        far, last = result("far", REFERENCE), result("last", REFERENCE)
        left.extend(not device.delegate.reads(each) for each in (far, last, result("far/inside", REFERENCE)))
        device.tell(far, result("last", {"t": "read"}))

    device, state = with_device(tmp_path, play, CHAIN)
    assert left == [True, False, True]
    assert (state, device.runtime.engine.results(all=False)) == (State.COMPLETED, {"last": {"t": "read"}})
    assert device.runtime.engine.results()["far"] == REFERENCE


def test_all_values_are_read_if_all_are_asked_for(tmp_path: Path) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Input)
        assert device.delegate.reads(result("far", REFERENCE))
        device.tell(result("far", 1), result("last", 2))

    with_device(tmp_path, play, CHAIN, shows_all=True)


@pytest.mark.parametrize("early", [True, False])
def test_a_value_that_does_not_come_makes_its_node_wait(tmp_path: Path, early: bool) -> None:
    async def play(device: Device) -> None:
        await device.link.until(Submit if early else Input)
        device.delegate.lacks(result("far", REFERENCE), LinkCondition("BLOB_GONE", "gone"))
        if not early:
            device.delegate.lacks(Close(None), LinkCondition("OTHER", "gone"))

    device, state = with_device(tmp_path, play, CHAIN)
    assert (state, device.waiting["far"]) == (State.SUSPENDED, "BLOB_GONE")


NESTED = """\
version: 0.5
nodes:
  big: {agent: copyAgent, place: cloud, inputs: {x: 1}}
  far: {agent: copyAgent, place: cloud, inputs: {x: :big}}
  seen: {agent: copyAgent, place: cloud, isResult: true, inputs: {x: :big}}
  rows: {agent: mapAgent, place: cloud, inputs: {rows: [1]}, graph: {nodes: {in: {agent: copyAgent, isResult: true, inputs: {x: :row}}}}}
  here: {agent: mapAgent, inputs: {rows: [1]}, graph: {nodes: {in: {agent: copyAgent, place: cloud, isResult: true, inputs: {x: :row}}}}}
"""


@pytest.mark.parametrize(
    ("path", "known", "unread"),
    [
        ("big", (), True),
        ("big#3", (), True),
        ("seen", (), False),
        ("rows[0]/in", (), True),
        ("rows[0]/in", ("rows",), True),
        ("here[0]/in", (), False),
        ("here[0]/in", ("here",), True),
        ("here!1[0]/in", ("here",), True),
        ("odd[0]/in", (), False),
    ],
)
def test_of_a_run_that_goes_on_values_inside_what_is_known_or_elsewhere_are_not_read(
    path: str, known: tuple[str, ...], unread: bool
) -> None:
    document: Any = load(NESTED).data
    places = {"big": "cloud", "far": "cloud", "seen": "cloud", "rows": "cloud", "here/in": "cloud"}
    plan = Compiler(AGENTS, places=places).plan(Graph.of(document, AGENTS.keys()))
    found = Unread(plan, everything=False, may_run=lambda _path: False, elsewhere=lambda each: each in places)
    assert found(path, known) is unread
    assert not Unread(plan, everything=True, may_run=lambda _path: False, elsewhere=lambda each: each in places)("big", ())
