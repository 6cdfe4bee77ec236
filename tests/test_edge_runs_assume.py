"""What a person says became of a node that was in flight: it counts for good, and nothing else about the run changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from edge.placing.facts import Placement
from edge.runs.assume import Assumption, assume
from graphs.engine.outcomes import Known, known_outcomes
from graphs.errors import UsageError
from graphs.records import Error, Event, Record, Result, State, Submit, encode
from graphs.values import MISSING
from logbook import of

AWAY, HERE = Placement("cloud", "its place"), Placement("edge", "its place")


def in_flight(*paths: str) -> Known:
    records: list[Record] = [Event(path, 2, State.EXECUTING, 0, {"effect": "once", "retry": 0}) for path in paths]
    return known_outcomes(records)


def test_done_with_a_value() -> None:
    known = in_flight("pay", "mail")
    (record,) = assume(known, [Assumption("pay", "done", {"id": 7})], {}, 5)
    assert record == Result("pay", 2, 0, {"id": 7}, 5, {"assumed": "done"})
    assert known.outcomes["pay"].value == {"id": 7}
    assert known.indeterminate == {"mail"}


def test_done_without_one_failed_and_again() -> None:
    known = in_flight("a", "b", "c")
    said = [Assumption("a", "done"), Assumption("b", "failed"), Assumption("c", "rerun")]
    done, failed, again = assume(known, said, {}, 5)
    assert again == Event("c", 2, State.WAITING, 5, {"assumed": "rerun"})
    assert isinstance(done, Result)
    assert done.value is MISSING
    assert isinstance(failed, Error)
    assert (failed.path, failed.at, failed.final, failed.code) == ("b", 2, True, "NODE_FAILED")
    assert known.outcomes["b"].state == State.FAILED
    assert "c" not in known.outcomes
    assert known.indeterminate == set()
    for record in (done, failed, again):
        encode(record)


def test_what_is_not_in_doubt_is_refused() -> None:
    with pytest.raises(UsageError, match="--assume mail: that node is not in doubt; in doubt: pay"):
        assume(in_flight("pay"), [Assumption("mail", "rerun")], {}, 5)
    with pytest.raises(UsageError, match="in doubt: none is"):
        assume(Known(), [Assumption("mail", "rerun")], {}, 5)


def test_of_a_graph_that_is_whole_at_a_worker_the_node_that_opens_it_is_said() -> None:
    placed = {"plan": AWAY, "plan/pay": AWAY, "near": HERE, "near/pay": AWAY}
    known = in_flight("plan[1]/pay", "plan[2]/pay", "near/pay")
    with pytest.raises(UsageError, match=r"inside 'plan', which a worker runs as a whole") as caught:
        assume(known, [Assumption("plan[1]/pay", "done")], placed, 5)
    assert caught.value.hint == "Say what became of 'plan'."
    again = assume(known, [Assumption("plan", "rerun"), Assumption("near/pay", "rerun")], placed, 5)
    assert [getattr(each, "path", None) for each in again] == ["plan", "plan[1]/pay", "plan[2]/pay", "near/pay"]
    assert known.indeterminate == set()


AGENTS = """
import os
from pathlib import Path
from graphferry import agent

HERE = Path(__file__).parent


@agent("payAgent", effect="once")
def pay(context):
    (HERE / f"paid-{len(list(HERE.glob('paid-*')))}").touch()
    return {"by": "itself"}
"""
GRAPH = """\
version: 0.5
nodes:
  pay: {agent: payAgent}
  end: {agent: copyAgent, isResult: true, inputs: {of: :pay}}
"""


class Doubtful:
    """A run whose node `pay` was in flight, as its journal says, when its process died."""

    def __init__(self, cli: CommandLine, folder: Path, home: Path) -> None:
        self.cli, self.folder, self.home = cli, folder, home
        (folder / "pay_agents.py").write_text(AGENTS, encoding="utf-8")
        (folder / "g.yaml").write_text(GRAPH, encoding="utf-8")
        first = cli("run", "g.yaml", "--agents", "pay_agents.py", "--json")
        assert first.status == 0, first.stderr
        self.run = json.loads(first.stdout)["run"]
        self.cut_off()

    def cut_off(self, after: int = 2) -> None:
        """Take from the journal what came after that record; the second one is that the node begins."""
        import sqlite3

        db = sqlite3.connect(self.home / "edge" / "journal.db")
        with db:
            db.execute("DELETE FROM records WHERE seq > ?", (after,))
            db.execute("UPDATE logs SET noted = 0")
            db.execute("UPDATE runs SET status = 'running', ended = NULL")
        db.close()

    def resume(self, *words: str, status: int = 0) -> dict[str, Any]:
        outcome = self.cli("resume", self.run, *words, "--json")
        assert outcome.status == status, outcome.stderr
        self.told = outcome.stderr
        return dict(json.loads(outcome.stdout)) if outcome.stdout else {}

    @property
    def paid(self) -> int:
        return len(list(self.folder.glob("paid-*")))


@pytest.fixture
def doubtful(cli: CommandLine, tmp_path: Path, own_home: Path) -> Doubtful:
    return Doubtful(cli, tmp_path, own_home)


def test_the_message_says_how_to_decide_and_done_counts_for_good(doubtful: Doubtful) -> None:
    report = doubtful.resume(status=3)
    assert report["errors"]["pay"]["code"] == "NODE_INDETERMINATE"
    assert f"graphferry resume {doubtful.run} --assume pay=done:VALUE, pay=failed or pay=rerun" in doubtful.told
    report = doubtful.resume("--assume", 'pay=done:{"by": "hand"}')
    assert report["results"] == {"end": {"of": {"by": "hand"}}}
    assert doubtful.paid == 1
    (made,) = [record for record in of(doubtful.home, "edge", Result) if record.path == "pay"]
    assert made.by == {"assumed": "done"}
    assert [type(record) for record in of(doubtful.home, "edge", Submit)] == [Submit]


def test_done_without_a_value_leaves_what_waits_for_one(doubtful: Doubtful) -> None:
    report = doubtful.resume("--assume", "pay=done")
    assert report["results"] == {"end": {}}
    assert doubtful.paid == 1


def test_rerun_runs_it_once_more(doubtful: Doubtful) -> None:
    report = doubtful.resume("--assume", "pay=rerun")
    assert report["results"] == {"end": {"of": {"by": "itself"}}}
    assert doubtful.paid == 2
    said = [(record.state, record.at) for record in of(doubtful.home, "edge", Event) if record.path == "pay"]
    assert said == [(State.EXECUTING, 1), (State.WAITING, 1), (State.EXECUTING, 2)]


def test_rerun_counts_for_good_until_the_node_begins(doubtful: Doubtful) -> None:
    doubtful.resume("--assume", "pay=rerun")
    doubtful.cut_off(3)
    assert doubtful.resume()["results"] == {"end": {"of": {"by": "itself"}}}, "nobody is asked twice"
    assert doubtful.paid == 3
    doubtful.cut_off(4)
    assert doubtful.resume(status=3)["errors"]["pay"]["code"] == "NODE_INDETERMINATE", "that is another time it may have happened"
    assert doubtful.paid == 3


def test_failed_fails_the_run(doubtful: Doubtful) -> None:
    report = doubtful.resume("--assume", "pay=failed", status=1)
    assert "a person said that it failed" in report["errors"]["pay"]["message"]
    assert doubtful.paid == 1


@pytest.mark.parametrize("word", ["pay", "pay=", "pay=maybe", "=done", "pay=doneish"])
def test_words_that_mean_nothing(doubtful: Doubtful, word: str) -> None:
    doubtful.resume("--assume", word, status=2)
    assert f"--assume {word}: expected NODE=done:VALUE, NODE=done, NODE=failed or NODE=rerun" in doubtful.told
    assert doubtful.paid == 1


def test_a_node_that_is_not_in_doubt_changes_nothing(doubtful: Doubtful) -> None:
    doubtful.resume("--assume", "end=rerun", status=2)
    assert "--assume end: that node is not in doubt; in doubt: pay" in doubtful.told
    assert doubtful.resume(status=3)["errors"]["pay"]["code"] == "NODE_INDETERMINATE"


LARGE = """
from pathlib import Path
from graphferry import agent

HERE = Path(__file__).parent


@agent("orderAgent", effect="once")
def order(context):
    (HERE / f"ordered-{len(list(HERE.glob('ordered-*')))}").touch()
    return {"receipt": "x" * 2000}
"""


def test_what_has_run_and_reached_a_limit_asks_under_every_other_limit(cli: CommandLine, tmp_path: Path, own_home: Path) -> None:
    (tmp_path / "order_agents.py").write_text(LARGE, encoding="utf-8")
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  order: {agent: orderAgent, isResult: true}\n", encoding="utf-8")
    first = cli("run", "g.yaml", "--agents", "order_agents.py", "--limit", "value_bytes=1000", "--json")
    report = json.loads(first.stdout)
    assert first.status == 3, first.stderr
    assert report["errors"]["order"]["code"] == "NODE_INDETERMINATE"
    assert "the limit `value_bytes` of 1,000 is reached" in first.stderr
    again = cli("resume", report["run"], "--json")
    assert again.status == 3, again.stderr
    assert len(list(tmp_path.glob("ordered-*"))) == 1
    said = cli("resume", report["run"], "--assume", 'order=done:{"receipt": "in the mail"}', "--json")
    assert json.loads(said.stdout)["results"] == {"order": {"receipt": "in the mail"}}
    assert len(list(tmp_path.glob("ordered-*"))) == 1
