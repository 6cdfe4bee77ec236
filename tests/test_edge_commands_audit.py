"""`graphferry audit`: what it says left is what was seen on the wire."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import CommandLine
from ferry import FERRY
from graphs.records import Input, Submit
from logbook import store
from model_server import Asked, Connection, answering, serving
from protocol.messages import BlobChunk, Entry, PutGraph
from wiretap import tap
from workers import worker

LARGE = """\
version: 0.5
nodes:
  made: {agent: stringTemplateAgent, place: edge, params: {template: "${text}"}, inputs: {text: :text}}
  text: {value: ""}
  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {n: :made.length()}}
  far2: {agent: copyAgent, place: cloud, params: {namedKey: t}, inputs: {t: :made}}
"""


def audited(cli: CommandLine, run: str = "") -> dict[str, Any]:
    run = run or json.loads(cli("runs", "--json").stdout)[0]["run"]
    outcome = cli("audit", run, "--json")
    assert outcome.status == 0, outcome.stderr
    return dict(json.loads(outcome.stdout))


def test_without_runs_there_is_nothing_to_audit(cli: CommandLine) -> None:
    outcome = cli("audit", "0123")
    assert (outcome.status, "no journal" in outcome.stderr) == (2, True)


def test_of_a_run_that_stayed_here_it_says_that_nothing_left(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("version: 0.5\nnodes:\n  a: {agent: copyAgent, isResult: true, inputs: {t: 1}}\n")
    run = json.loads(cli("run", "g.yaml", "--json").stdout)["run"]
    assert "Nothing left this device" in cli("audit", run).stdout
    assert audited(cli) == {
        "run": run, "graph": "g.yaml", "status": "completed", "left": [], "declassified": [], "orders": 0, "totals": [],
    }  # fmt: skip


def test_every_value_and_graph_on_the_wire_has_its_line(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home) as served, tap(served.url) as line:
        assert cli("run", "g.yaml", "--cloud", line.url, "--set", "topic=secret-boats").status == 0
        url = line.url
    found = audited(cli)
    (connection,) = line.connections
    graphs, values = [], []
    for each in connection.sent():
        record = each.record if isinstance(each, Entry) else each
        if isinstance(record, PutGraph):
            graphs.append(record.size)
        elif isinstance(record, Submit):
            values += list(record.inputs)
        elif isinstance(record, Input):
            values.append(record.path)
    lines = found["left"]
    assert [each["bytes"] for each in lines if each["kind"] == "graph"] == graphs
    assert sorted(each["path"] for each in lines if each["kind"] in ("input", "boundary")) == sorted(values)
    assert values
    assert {each["to"]["worker"] for each in lines} == {url}
    assert {each["to"].get("store") for each in lines} == {store(home, "cloud").hex()}
    assert all(each["labels"] == [] and each["why"] == "no label" for each in lines)
    assert all(each["confirmed"] for each in lines if each["kind"] != "graph")
    assert found["totals"][0]["bytes"] == sum(each["bytes"] for each in lines)
    shown = cli("audit", found["run"])
    assert shown.status == 0
    assert "secret-boats" not in shown.stdout + json.dumps(found), "no value is in an audit"
    for word in ("boundary", "no label", url, "nothing labelled"):
        assert word in shown.stdout


def test_a_graph_that_the_worker_had_already_is_said_to_be_no_news(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home) as served:
        for _ in range(2):
            assert cli("run", "g.yaml", "--cloud", served.url).status == 0
    runs = [each["run"] for each in json.loads(cli("runs", "--json").stdout)]
    whys = [next(each["why"] for each in audited(cli, run)["left"] if each["kind"] == "graph") for run in runs]
    assert whys == ["no label; the worker had it already", "no label"]


def test_a_large_value_is_listed_when_the_worker_fetches_it(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(LARGE, encoding="utf-8")
    (tmp_path / "large.txt").write_text("x" * 300_000)
    with worker(home) as served, tap(served.url) as line:
        outcome = cli("run", "g.yaml", "--cloud", line.url, "--set", "text=@large.txt")
        assert outcome.status == 0, outcome.stderr
    chunks = [each for connection in line.connections for each in connection.sent() if isinstance(each, BlobChunk)]
    assert chunks
    bodies = [each for each in audited(cli)["left"] if each["kind"] == "body"]
    assert [(each["path"], each["bytes"]) for each in bodies] == [("made", chunks[0].total)]


LABELLED = """\
version: 0.5
nodes:
  letter: {value: my secret knee, sensitivity: [internal]}
  made: {agent: copyAgent, place: edge, inputs: {t: :letter}}
  far: {agent: copyAgent, place: cloud, isResult: true, inputs: {t: :made.t}}
"""


def test_what_carries_a_label_says_by_what_it_was_cleared(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(LABELLED, encoding="utf-8")
    with worker(home, clearance=["internal"]) as served, tap(served.url) as line:
        (home / "edge" / "config.yaml").write_text(f"cloud: {{url: '{line.url}'}}\nsensitivity: {{internal: [edge, cloud]}}\n")
        outcome = cli("run", "g.yaml")
        assert outcome.status == 0, outcome.stderr
    assert b"my secret knee" in b"".join(each.everything() for each in line.connections)
    found = audited(cli)
    labelled = [each for each in found["left"] if each["labels"]]
    assert {each["why"] for each in labelled} == {"cleared by sensitivity.internal in edge/config.yaml"}
    assert "made" in [each["path"] for each in labelled if each["kind"] == "body"]
    assert found["totals"][0]["labels"] == ["internal"]
    assert "knee" not in json.dumps(found) + cli("audit", found["run"]).stdout


async def either(asked: Asked, connection: Connection) -> None:
    if asked.body is None:
        await connection.whole(200, "a page", "text/plain")
    else:
        await answering(asked, connection)


@pytest.mark.parametrize("agent", ["fetch", "model"])
def test_requests_to_servers_have_a_line_each(cli: CommandLine, own_home: Path, tmp_path: Path, agent: str) -> None:
    with serving(either) as server:
        (own_home / "edge").mkdir(exist_ok=True)
        (own_home / "edge" / "config.yaml").write_text(f"models: {{far: {{url: '{server.url}'}}}}\n")
        graphs = {
            "fetch": f"{{agent: vanillaFetchAgent, isResult: true, params: {{type: text}}, inputs: {{url: '{server.url}/models?q=secret'}}}}",
            "model": "{agent: llmAgent, isResult: true, params: {model: far}, inputs: {prompt: secret words}}",
        }
        (tmp_path / "g.yaml").write_text(f"version: 0.5\nnodes:\n  asks: {graphs[agent]}\n")
        assert cli("run", "g.yaml").status == 0
    found = audited(cli)
    (line,) = found["left"]
    assert (line["kind"], line["path"], line["labels"], line["why"]) == (agent, "asks", [], "no label")
    assert line["to"] == {"server": server.url.removesuffix("/v1")}
    assert line["bytes"] > 20
    assert "secret" not in json.dumps(found)


OWN = """\
from graphferry import agent


@agent("mailAgent", needs=["network"])
def mail(context):
    return {"sent": True}
"""


def test_all_that_an_agent_of_ones_own_with_the_network_is_handed_counts_as_sent(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mail.py").write_text(OWN)
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  send: {agent: mailAgent, isResult: true, inputs: {letter: Dear Ada}}\n"
        "  tool: {agent: copyAgent, inputs: {t: 1}}\n"
    )
    assert cli("run", "g.yaml", "--agents", "mail.py").status == 0
    (line,) = audited(cli)["left"]
    assert (line["kind"], line["path"], line["to"]) == ("agent", "send", {"agent": "wherever it sends it"})


def test_an_audit_goes_along_with_the_run_and_away_with_it(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(FERRY, encoding="utf-8")
    with worker(home) as served:
        run = json.loads(cli("run", "g.yaml", "--cloud", served.url, "--json").stdout)["run"]
    before = audited(cli, run)
    assert before["left"]
    assert cli("runs", "export", run, "-o", "kept.gfrun").status == 0
    assert cli("runs", "rm", run).status == 0
    assert cli("audit", run).status == 2
    assert cli("runs", "import", "kept.gfrun").status == 0
    assert audited(cli, run) == before


def test_copies_of_a_synced_run_have_their_lines(cli: CommandLine, home: Path, tmp_path: Path) -> None:
    node = "{agent: llmAgent, isResult: true, params: {model: scripted}, inputs: {prompt: hi}}"
    (tmp_path / "g.yaml").write_text(f"version: 0.5\nnodes:\n  a: {node}\n")
    run = json.loads(cli("run", "g.yaml", "--sync", "--json").stdout)["run"]
    assert audited(cli, run)["left"] == []
    with worker(home) as served:
        assert cli("sync", "--cloud", served.url).status == 0
    left = {each["kind"]: each for each in audited(cli, run)["left"]}
    assert set(left) == {"copy", "body"}
    assert re.fullmatch(rf"records 1 to \d+ of {store(home, 'edge').hex()}", left["copy"]["path"])
    assert (left["copy"]["bytes"] > 50, left["copy"]["labels"], left["body"]["bytes"] > 50) == (True, [], True)
