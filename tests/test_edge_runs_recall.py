"""What a fork may still keep is kept by whichever process goes on with it."""

from __future__ import annotations

import json

import pytest

from conftest import CommandLine
from graphs.engine.outcomes import KEY
from graphs.records import Result
from logbook import of
from test_edge_commands_forking import AGENTS, GRAPH, World, world

__all__ = ["world"]

BROKEN = """

@agent("thinkAgent", effect="none", version=VERSION)
def think(context):
    note(context)
    if context.node_id == "facts" and not Path(__file__).with_name("mended").exists():
        raise ValueError("the power went")
    return {"text": "|".join(str(value) for value in context.inputs.values())}
"""


@pytest.fixture
def cut_off(world: World) -> str:
    """A replay that came no further than the node that is done again; its id."""
    (world.folder / "my_agents.py").write_text(AGENTS + BROKEN, encoding="utf-8")
    (world.folder / "mended").touch()
    first = world.run(GRAPH)
    (world.folder / "mended").unlink()
    world.ran()
    again = world.say("runs", "replay", first["run"], "--from", "facts", status=1)
    assert set(world.ran()) == {"facts"}
    assert world.cli("runs", "rm", first["run"]).status == 0
    return str(again["run"])


def test_a_replay_that_goes_on_in_another_process_keeps_what_is_handed_the_same(world: World, cut_off: str) -> None:
    (world.folder / "mended").touch()
    done = world.say("resume", cut_off)
    assert done["results"] == {"end": {"text": "tides|calm!|calm"}}
    assert world.ran() == ["facts"], "what reads it was handed the same, the effect too"
    assert [each.path for each in of(world.home, "edge", Result) if each.path == "send" and KEY not in each.by] == ["send"]


def test_what_another_version_made_is_not_kept(world: World, cut_off: str) -> None:
    (world.folder / "mended").touch()
    (world.folder / "newer_agents.py").write_text((AGENTS + BROKEN).replace('VERSION = "1"', 'VERSION = "2"'), encoding="utf-8")
    world.say("resume", cut_off, "--agents", "newer_agents.py")
    assert world.ran() == ["draft", "end", "facts"], "what has effects is no matter of the version of `thinkAgent`"


def test_what_may_count_yet_is_not_shown_as_done(world: World, cut_off: str, cli: CommandLine) -> None:
    shown = json.loads(cli("runs", "show", cut_off, "--json").stdout)
    assert {record["path"] for record in shown["records"] if record["type"] == "result"} == {"other"}
    text = cli("runs", "show", cut_off).stdout
    assert "draft" not in text
    assert "too late" not in text
