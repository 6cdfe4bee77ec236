from __future__ import annotations

import json
import resource
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from conftest import CommandLine
from gates import AGENTS
from model_server import serving
from processes import graphferry, serve


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--config", "broken.yaml"], "unknown entry 'modles'"),
        (["--agents", "no_such_module"], "--agents no_such_module: cannot be imported"),
        (["--token-file", "nowhere"], "--token-file nowhere cannot be read"),
        (["--token-file", "empty"], "--token-file empty is empty"),
        (["--port", "70000"], "--port 70000"),
        (["--config", "accounts.yaml"], "accounts.alice: unknown entry 'quotas'"),
        (["--no-tls", "--tls-cert", "c.pem"], "contradict each other"),
        (["--tls-key", "k.pem"], "give --tls-cert, too"),
        (["--tls-cert", "nowhere.pem"], "nowhere.pem cannot be used"),
        (["--tls-cert", "empty"], "cannot be used"),
        (["--port", "-1"], "--port -1"),
        (["--host", "192.0.2.1", "--no-tls"], "--host is an address of this machine"),
    ],
)
def test_what_cannot_be_served_is_said_before_it_starts(cli: CommandLine, tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "broken.yaml").write_text("modles: {}\n", encoding="utf-8")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "accounts.yaml").write_text("accounts: {alice: {quotas: 1}}\n", encoding="utf-8")
    outcome = cli("serve", *words) if "--port" in words else cli("serve", "--port", "0", *words)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert told in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_model_that_is_configured_and_not_here_is_told_of(own_home: Path, tmp_path: Path) -> None:
    with serve(home=own_home, cwd=tmp_path, models="{large: {model: nowhere}, here: {scripted: true}}") as worker:
        line = worker.error_line()
    assert line.startswith("warning: models.large is offered to nobody: ")
    assert line.endswith("('nowhere' in the configuration)")


def test_off_loopback_nothing_is_served_without_tls_unless_one_insists(own_home: Path, tmp_path: Path) -> None:
    everywhere = ("--host", "0.0.0.0", "--public", "127.0.0.1")
    with serve(*everywhere, home=own_home, cwd=tmp_path) as worker:
        assert worker.url.startswith("wss://127.0.0.1:")
        assert "no device may come yet" in worker.error_line()
    with serve(*everywhere, "--no-tls", home=own_home, cwd=tmp_path) as worker:
        assert worker.url.startswith("ws://127.0.0.1:")
        assert "nothing is encrypted" in worker.error_line()
        with closing(HTTPConnection("127.0.0.1", worker.port, timeout=120)) as connection:
            connection.request("GET", "/v1/link")
            assert connection.getresponse().status == 401, "nobody comes without a token"
    with serve("--tls", home=own_home, cwd=tmp_path) as worker:
        assert worker.url.startswith("wss://127.0.0.1:"), "on loopback, too, if asked for"


def test_agents_of_ones_own_on_both_sides_and_a_token_from_a_file(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "token").write_text("open sesame\n", encoding="utf-8")
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n"
        "  a: {agent: whereAgent, place: edge, isResult: true, inputs: {t: 1}}\n"
        "  b: {agent: whereAgent, place: cloud, isResult: true, inputs: {t: :a.t}}\n",
        encoding="utf-8",
    )
    with serve("--agents", "mine.py", "--token-file", "token", home=own_home, cwd=tmp_path) as worker:
        words = ("run", "g.yaml", "--cloud", worker.url, "--agents", "mine.py", "--json")
        refused = graphferry(*words, home=own_home, cwd=tmp_path)
        assert refused.status == 3
        assert "wants a token, and this device has none for it" in refused.stderr
        outcome = graphferry(*words, home=own_home, cwd=tmp_path, GRAPHFERRY_TOKEN="open sesame")
        assert outcome.status == 0, outcome.stderr
        assert f'"b": {{"pid": {worker.pid}, "t": 1}}' in outcome.stdout


def test_a_worker_asks_a_server_for_its_model_and_the_result_says_so(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n"
        "  word: {value: tide}\n"
        "  said: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: :word}, params: {max_tokens: 2}}\n",
        encoding="utf-8",
    )
    secrets = own_home / "cloud" / "secrets.yaml"
    secrets.parent.mkdir()
    secrets.write_text("MY_KEY: sk-4711\n", encoding="utf-8")
    secrets.chmod(0o600)
    with serving() as server:
        config = (
            f"models: {{large: {{url: '{server.url}', model: 'big:7b', key: {{secret: MY_KEY}}}}}}\nmemory: {{keep_alive: 1m}}\n"
        )
        (tmp_path / "worker.yaml").write_text(config, encoding="utf-8")
        with serve("--config", "worker.yaml", home=own_home, cwd=tmp_path) as worker:
            outcome = graphferry("run", "g.yaml", "--cloud", worker.url, "--json", home=own_home, cwd=tmp_path)
        assert outcome.status == 0, outcome.stderr
        report = json.loads(outcome.stdout)
        assert report["results"]["said"]["text"] == "tide tide"
        node = report["nodes"]["said"]
        assert (node["place"], node["by"]["model"]) == ("cloud", "big:7b")
        assert node["by"]["backend"] == "openai " + server.url.removesuffix("/v1")
        assert server.asked[0].headers["authorization"] == "Bearer sk-4711"
        assert "sk-4711" not in outcome.stdout + outcome.stderr


def test_the_configuration_in_the_workers_folder_is_read_where_none_is_named(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    usual = own_home / "cloud" / "worker.yaml"
    usual.parent.mkdir(exist_ok=True)
    usual.write_text("modles: {}\n", encoding="utf-8")
    outcome = cli("serve", "--port", "0")
    assert outcome.status == 2
    assert "cloud/worker.yaml: unknown entry 'modles'" in outcome.stderr
    (tmp_path / "other.yaml").write_text("network: 3\n", encoding="utf-8")
    assert "other.yaml: `network` is true or false" in cli("serve", "--port", "0", "--config", "other.yaml").stderr
    usual.unlink()
    usual.symlink_to("nowhere.yaml")
    assert "worker.yaml cannot be read" in cli("serve", "--port", "0").stderr


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot make a disk full for one process")
def test_a_worker_that_can_keep_nothing_any_more_ends_and_the_next_one_goes_on(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n", encoding="utf-8"
    )
    (own_home / "edge").mkdir()
    (own_home / "edge" / "config.yaml").write_text("cloud: {grace: 0.2}\n", encoding="utf-8")
    with serve(home=own_home, cwd=tmp_path) as worker:
        size = (own_home / "cloud" / "journal.db-wal").stat().st_size
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        run = graphferry("run", "g.yaml", "--cloud", worker.url, home=own_home, cwd=tmp_path)
        assert run.status in (3, 4), run
        ended = worker.outcome()
    assert ended.status == 1
    assert "journal.db could not be written" in ended.stderr
    assert "start the worker again" in ended.stderr
    assert "Traceback" not in ended.stderr
    with serve("--port", str(worker.port), home=own_home, cwd=tmp_path) as worker:
        name = run.stderr.split("graphferry resume ")[1].split()[0]
        resumed = graphferry("resume", name, "--cloud", worker.url, home=own_home, cwd=tmp_path)
    assert resumed.status == 0, resumed
