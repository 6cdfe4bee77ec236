"""Which values anybody could have written, and which nodes must not act upon them: before the run, and when a node starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import CommandLine
from graphs.agents import standard
from graphs.errors import GraphInvalid
from graphs.journal import Journal
from graphs.language.integrity import distrusted
from graphs.language.labels import label_graph
from graphs.language.load import load_text
from graphs.language.spec import Graph
from graphs.registry import Registry, agent
from model_server import Asked, Connection, serving
from workers import worker


@agent("mailAgent", requires="trusted", needs=["network"])
def mail(context: object) -> dict[str, bool]:
    return {"sent": True}


AGENTS: Registry = standard().with_agents([mail])

HEAD = "version: 0.5\nnodes:\n"
FETCH = "  page: {agent: vanillaFetchAgent, params: {type: text}, inputs: {url: 'http://127.0.0.1:9/'}}\n"
SEND = "  send: {agent: copyAgent, requires: trusted, inputs: {letter: SOURCE}}\n"


def graph(nodes: str) -> Graph:
    return Graph.of(load_text(HEAD + nodes).data, AGENTS.keys())


def ways(nodes: str) -> dict[str, tuple[str, ...]]:
    """The ways to nodes that require trusted inputs and have others."""
    return {place: each.way for place, each in distrusted(graph(nodes), AGENTS).items() if each.required}


def send(source: str) -> str:
    return SEND.replace("SOURCE", source)


# -- what is untrusted


@pytest.mark.parametrize(
    ("nodes", "way"),
    [
        (FETCH + send(":page"), ("page", "send")),
        (FETCH + "  short: {agent: copyAgent, inputs: {t: 'so ${:page}'}}\n" + send(":short.t"), ("page", "short", "send")),
        (FETCH + "  asked: {agent: llmAgent, inputs: {prompt: :page}}\n" + send(":asked.text"), ("page", "asked", "send")),
        (FETCH + "  a: {value: 1}\n" + send(":a").replace("requires", "if: :page, requires"), ("page", "send")),
        ("  said: {value: hi, integrity: untrusted}\n" + send(":said"), ("said", "send")),
        ("  read: {agent: copyAgent, integrity: untrusted, inputs: {t: 1}}\n" + send(":read.t"), ("read", "send")),
        ("  a: {value: 1}\n  b: {agent: :a}\n" + send(":b"), ("b", "send")),
        ("  g: {value: {nodes: {}}}\n  b: {agent: nestedAgent, graph: :g}\n" + send(":b"), ("b", "send")),
        (
            "  b: {agent: toolLoopAgent, params: {tools: [vanillaFetchAgent]}, inputs: {prompt: hi}}\n" + send(":b.text"),
            ("b", "send"),
        ),
    ],
)
def test_the_way_of_what_anybody_could_have_written_is_known(nodes: str, way: tuple[str, ...]) -> None:
    assert ways(nodes) == {"send": way}


@pytest.mark.parametrize(
    "nodes",
    [
        "  a: {value: 1}\n" + send(":a"),
        "  a: {agent: llmAgent, inputs: {prompt: hi}}\n" + send(":a.text"),
        "  b: {agent: toolLoopAgent, params: {tools: [copyAgent]}, inputs: {prompt: hi}}\n" + send(":b.text"),
        FETCH + "  a: {value: 1}\n" + send(":a"),
        FETCH + "  who: {agent: humanAgent, params: {prompt: Which?}, inputs: {page: :page}}\n" + send(":who.text"),
        FETCH + "  who: {agent: textInputAgent, params: {message: Which?}}\n" + send(":who.text"),
    ],
)
def test_what_nobody_else_wrote_is_trusted(nodes: str) -> None:
    assert ways(nodes) == {}


def test_an_alternative_that_uses_the_network_may_stand_for_the_node() -> None:
    nodes = (
        "  far: {agent: llmAgent, place: {at: cloud, offline: local, local: {agent: vanillaFetchAgent}}, inputs: {prompt: hi}}\n"
    )
    assert ways(nodes + send(":far.text")) == {"send": ("far", "send")}
    assert ways(nodes.replace("vanillaFetchAgent", "copyAgent") + send(":far.text")) == {}


def test_a_loop_brings_it_round() -> None:
    text = FETCH + "  last: {value: '', update: :page}\n" + send(":last") + "loop: {count: 2}\n"
    assert ways(text) == {"send": ("page", "last", "send")}


def test_an_agent_that_nobody_here_knows_is_not_trusted() -> None:
    document = load_text(HEAD + "  far: {agent: strangeAgent}\n" + send(":far")).data
    (found,) = distrusted(Graph.of(document, [*AGENTS, "strangeAgent"]), AGENTS).values()
    assert found.why == "has the agent strangeAgent, of which nobody here knows what it reads"


def test_it_has_nothing_to_do_with_where_a_value_may_go() -> None:
    found = graph(FETCH + "  said: {value: hi, integrity: untrusted}\n" + send(":page"))
    assert label_graph(found, AGENTS).all == frozenset()


def test_graphs_inside_are_looked_at_and_what_comes_in_and_out_of_them() -> None:
    inner = """\
  in:
    agent: nestedAgent
    inputs: {x: SOURCE}
    graph:
      version: 0.5
      nodes:
        x: {value: 0}
        y: {agent: copyAgent, isResult: true, inputs: {x: :x}}
        act: {agent: copyAgent, requires: trusted, inputs: {x: :x}}
"""
    assert ways(FETCH + inner.replace("SOURCE", ":page")) == {"in/act": ("page", "in", "in/x", "in/act")}
    assert ways(FETCH + inner.replace("SOURCE", "1")) == {}
    assert "send" in ways(FETCH + inner.replace("SOURCE", ":page") + send(":in.y"))
    rows = (
        FETCH + "  in: {agent: mapAgent, inputs: {rows: :page}, graph: {nodes: {act: {agent: mailAgent, inputs: {x: :row}}}}}\n"
    )
    assert ways(rows) == {"in/act": ("page", "in", "in/row", "in/act")}


# -- ways out


APPROVE = "  ok: {agent: humanAgent, params: {mode: approve, prompt: Send it?}, inputs: {letter: SHOWN}}\n"
APPROVED = "  send: {agent: copyAgent, requires: trusted, if: :ok.approved, inputs: {letter: SOURCE}}\n"


def approved(shown: str, source: str, approve: str = APPROVE) -> dict[str, tuple[str, ...]]:
    return ways(FETCH + approve.replace("SHOWN", shown) + APPROVED.replace("SOURCE", source))


def test_what_a_person_approved_passes() -> None:
    assert approved(":page", ":page") == {}
    assert approved(":page", ":page.text") == {}
    assert approved(":page.text", ":page.text") == {}
    assert approved('"so: ${:page.text}"', '"${:page.text} is it"') == {}


@pytest.mark.parametrize(
    ("shown", "source", "approve"),
    [
        (":page.text", ":page", APPROVE),
        (":page.text", ":page.texts", APPROVE),
        (":page", ":page", APPROVE.replace("approve,", "text,")),
        (":page", ":page", APPROVE.replace("inputs:", "defaultValue: {approved: true}, inputs:")),
        (":page", ":page", APPROVE.replace("inputs:", "output: {approved: .approved}, inputs:")),
        (":page", ":page", APPROVE.replace("inputs:", "passThrough: {approved: :page}, inputs:")),
        (":page", ":page", APPROVE.replace("humanAgent", "copyAgent")),
    ],
)
def test_what_the_person_did_not_see_or_did_not_approve_does_not(shown: str, source: str, approve: str) -> None:
    assert "send" in approved(shown, source, approve)


def test_another_condition_is_no_approval() -> None:
    text = FETCH + APPROVE.replace("SHOWN", ":page") + APPROVED.replace("SOURCE", ":page")
    assert "send" in ways(text.replace("if: :ok.approved", "if: :ok"))
    assert "send" in ways(text.replace("if: :ok.approved", "unless: :ok.approved"))


def test_a_reason_makes_it_trusted_only_if_the_label_is_named() -> None:
    node = "  open: {agent: declassifyAgent, params: {reason: our own server LABELS}, inputs: {value: :page}}\n"
    assert "send" in ways(FETCH + node.replace(" LABELS", "") + send(":open"))
    assert ways(FETCH + node.replace(" LABELS", ", labels: [untrusted]") + send(":open")) == {}


# -- checked, and looked at again


def test_check_shows_the_way(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(HEAD + FETCH + "  short: {agent: copyAgent, inputs: {t: :page}}\n" + send(":short.t"))
    outcome = cli("check", "g.yaml")
    assert outcome.status == 2
    assert "GF127" in outcome.stderr
    assert 'page -> short -> send; "page" takes it from the network (vanillaFetchAgent)' in outcome.stderr
    assert cli("run", "g.yaml").status == 2


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{agent: declassifyAgent, inputs: {value: :a}}", "has no reason"),
        ("{agent: declassifyAgent, params: {reason: '  '}, inputs: {value: :a}}", "for a reason"),
        ("{agent: declassifyAgent, params: {reason: 3}, inputs: {value: :a}}", "for a reason"),
        ("{agent: declassifyAgent, params: {reason: x}, inputs: {value: :a, reason: :a}}", "cannot come from data"),
        ("{agent: declassifyAgent, params: {reason: x}, inputs: {value: :a, params: :a}}", "cannot come from data"),
        ("{agent: declassifyAgent, params: {reason: x, labels: []}, inputs: {value: :a}}", "a word or a list"),
        ("{agent: declassifyAgent, params: {reason: x}}", "has none"),
        ("{agent: copyAgent, requires: trust, inputs: {a: :a}}", "is trusted or left out"),
        ("{agent: copyAgent, integrity: trusted, inputs: {a: :a}}", "is untrusted or left out"),
        ("{agent: copyAgent, sensitivity: untrusted, inputs: {a: :a}}", "no sensitivity"),
    ],
)
def test_what_is_written_wrong_is_refused(written: str, words: str) -> None:
    with pytest.raises(GraphInvalid) as caught:
        graph(f"  a: {{value: 1}}\n  b: {written}\n")
    assert words in str(caught.value)


OWN = """\
from graphferry import agent


@agent("mailAgent", requires="trusted")
def mail(context):
    return {"sent": context.inputs.get("letter")}
"""


def test_a_name_out_of_a_value_is_looked_at_when_the_node_starts(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mail.py").write_text(OWN)
    nodes = "  said: {value: hi, integrity: untrusted}\n  name: {value: mailAgent}\n  send: {agent: :name, inputs: {letter: LETTER}}\n"
    (tmp_path / "bad.yaml").write_text(HEAD + nodes.replace("LETTER", ":said"))
    (tmp_path / "good.yaml").write_text(HEAD + nodes.replace("LETTER", "hi"))
    outcome = cli("run", "bad.yaml", "--agents", "mail.py", "--json")
    message = json.loads(outcome.stdout)["errors"]["send"]["message"]
    assert "mailAgent requires trusted inputs" in message
    assert "said -> send" in message
    assert cli("run", "good.yaml", "--agents", "mail.py").status == 0


def test_a_graph_of_others_has_no_trusted_inputs(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mail.py").write_text(OWN)
    (tmp_path / "g.yaml").write_text(HEAD + "  send: {agent: mailAgent, inputs: {letter: hi}}\n")
    assert cli("run", "g.yaml", "--agents", "mail.py").status == 0
    outcome = cli("run", "g.yaml", "--agents", "mail.py", "--untrusted")
    assert outcome.status == 2
    assert "requires trusted inputs" in outcome.stderr
    made = "  g: {value: {nodes: {send: {agent: mailAgent, isResult: true, inputs: {letter: hi}}}}}\n  in: {agent: nestedAgent, graph: :g}\n"
    (tmp_path / "made.yaml").write_text(HEAD + made)
    assert cli("run", "made.yaml", "--agents", "mail.py").status == 1


FAR = """\
  text: {value: hi}
  in:
    agent: nestedAgent
    place: cloud
    isResult: true
    inputs: {text: :text}
    graph:
      nodes:
        asked: {agent: llmAgent, model: large, inputs: {prompt: :text}}
        send: {agent: mailAgent, isResult: true, inputs: {letter: :asked.text}}
"""


def test_what_requires_trusted_inputs_does_not_go_to_a_worker(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "mail.py").write_text(OWN)
    (tmp_path / "far.yaml").write_text(HEAD + FAR)
    (tmp_path / "said.yaml").write_text(HEAD + "  send: {agent: mailAgent, place: cloud, inputs: {letter: hi}}\n")
    with worker(own_home, agents=["mail.py"], folder=tmp_path) as served:
        words = ("--cloud", served.url, "--json")
        nodes = json.loads(cli("run", "far.yaml", "--agents", "mail.py", *words).stdout)["nodes"]
        assert {name: each["place"] for name, each in nodes.items()} == {"in": "edge", "in/asked": "cloud", "in/send": "edge"}
        assert "requires trusted inputs" in nodes["in/send"]["reason"]
        refused = cli("run", "said.yaml", "--agents", "mail.py", *words)
        assert (refused.status, json.loads(refused.stdout)["node"]) == (2, "send")
        unknown = cli("run", "said.yaml", *words)  # known here by nobody's word: the worker does not offer it
        assert unknown.status == 2
        assert "mailAgent" in unknown.stdout


REFUSED = {
    "by its own word": ("send", "  send: {agent: copyAgent, requires: trusted, inputs: {letter: hi}}\n"),
    "in a graph that is written in it": (
        "in/send",
        "  in: {agent: nestedAgent, inputs: {}, graph: {nodes: {send: {agent: mailAgent, inputs: {letter: hi}}}}}\n",
    ),
    "for a tool": ("ask", "  ask: {agent: toolLoopAgent, params: {tools: [mailAgent]}, inputs: {prompt: hi}}\n"),
    "though a person would approve": (
        "send",
        """\
  text: {value: hi}
  ok: {agent: humanAgent, params: {mode: approve}, inputs: {letter: :text}}
  send: {agent: mailAgent, if: :ok.approved, inputs: {letter: :text}}
""",
    ),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_a_graph_of_others_may_not_have_is_said_before_anything_runs(
    cli: CommandLine, own_home: Path, tmp_path: Path, way: str
) -> None:
    node, text = REFUSED[way]
    (tmp_path / "mail.py").write_text(OWN)
    (tmp_path / "g.yaml").write_text(HEAD + text)
    for command in ("plan", "run"):
        outcome = cli(command, "g.yaml", "--agents", "mail.py", "--untrusted")
        assert outcome.status == 2
        assert f"node {node!r}: a graph from others may" in outcome.stderr
        assert "run it without --untrusted" in outcome.stderr
        told = json.loads(cli(command, "g.yaml", "--agents", "mail.py", "--untrusted", "--json").stdout)
        assert (told["status"], told["node"]) == ("impossible", node)
    with Journal.open(own_home / "edge" / "journal.db") as journal:
        assert journal.runs() == []


async def a_page(asked: Asked, connection: Connection) -> None:
    await connection.whole(200, "Dear all", "text/plain")


@pytest.mark.parametrize(("said", "sent"), [("yes", {"letter": "Dear all"}), ("no", None)])
def test_a_page_is_acted_upon_once_it_is_approved(cli: CommandLine, tmp_path: Path, said: str, sent: object) -> None:
    with serving(a_page) as server:
        page = f"  page: {{agent: vanillaFetchAgent, params: {{type: text}}, inputs: {{url: '{server.url}'}}}}\n"
        act = APPROVED.replace("SOURCE", ":page").replace("requires", "isResult: true, requires")
        (tmp_path / "g.yaml").write_text(HEAD + page + APPROVE.replace("SHOWN", ":page") + act)
        run = json.loads(cli("run", "g.yaml", "--json").stdout)["run"]
        assert cli("answer", run, "ok", said).status == 0
        ended = cli("resume", run, "--json")
    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout)["results"].get("send") == sent
