"""Two installations that trust each other, as real processes: pair, run over TLS, revoke; and what must not happen."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import CommandLine, Outcome
from edge.pairings import Pairings
from gates import gates
from graphs.environment import ExitStatus
from logbook import made
from processes import Worker, graphferry, serve, start

TLS = ("--host", "0.0.0.0", "--public", "127.0.0.1")
GRAPH = "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n"
GATED = """\
version: 0.5
nodes:
  far: {agent: gateAgent, place: cloud, isResult: true, params: {port: PORT}}
"""
MINE = ("--agents", "gate_agents.py")


class Two:
    """A device and a worker, each with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.device, self.worker = folder / "device", folder / "worker"
        self.device.mkdir()
        self.worker.mkdir()
        (folder / "g.yaml").write_text(GRAPH, encoding="utf-8")
        self.codes: list[str] = []
        self.all_real = False
        """Whether all commands are processes of their own, not only the worker and what says `real`."""

    @contextmanager
    def serving(self, *words: str, accounts: str = "{}", debug: bool = False) -> Iterator[Worker]:
        more = {"GRAPHFERRY_DEBUG": "1", "PYTHONASYNCIODEBUG": "1"} if debug else {}
        with serve(*TLS, *words, home=self.worker, cwd=self.folder, accounts=accounts, **more) as worker:
            yield worker

    def at_worker(self, *words: str) -> Outcome:
        return self.command(self.worker, "serve", *words)

    def at_device(self, *words: str, real: bool = False, **environ: str) -> Outcome:
        return self.command(self.device, *words, real=real, **environ)

    def command(self, home: Path, *words: str, real: bool = False, **environ: str) -> Outcome:
        if real or self.all_real:
            return graphferry(*words, home=home, cwd=self.folder, **environ)
        return CommandLine({"GRAPHFERRY_HOME": str(home)}, self.folder)(*words, **environ)

    def pair(self, url: str, *words: str, account: str = "default") -> Outcome:
        told = json.loads(self.at_worker("pair", "--json", "--account", account).stdout)
        self.codes.append(told["code"])
        assert told["url"] == url
        return self.at_device("pair", url, told["code"], "--name", "laptop", *words)

    @property
    def token(self) -> str:
        return Pairings(self.device / "edge").all()[-1].token


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_pair_run_revoke_refused(two: Two) -> None:
    with two.serving() as worker:
        assert worker.url.startswith("wss://127.0.0.1:")
        paired = two.pair(worker.url)
        assert paired.status == 0, paired.stderr
        ran = two.at_device("run", "g.yaml", "--json")
        assert ran.status == 0, ran.stderr
        assert json.loads(ran.stdout)["results"]["a"]["text"] == "You said: hi"
        assert made(two.worker, "cloud") == [("a", "child")]
        assert two.at_worker("devices", "revoke", "laptop").status == 0
        refused = two.at_device("run", "g.yaml")
        assert refused.status == 4
        assert "access was revoked" in refused.stderr
        assert "graphferry pair" in refused.stderr
        assert two.pair(worker.url).status == 0
        assert two.at_device("run", "g.yaml").status == 0, "a device that is paired again may come again"


def test_no_code_and_no_token_is_written_anywhere_it_does_not_belong(two: Two) -> None:
    two.all_real = True
    with two.serving(debug=True) as worker:
        outcomes = [two.pair(worker.url)]
        first = two.token
        outcomes += [two.at_device("run", "g.yaml", GRAPHFERRY_DEBUG="1"), two.at_device("run", "g.yaml", "--progress", "json")]
        outcomes.append(two.at_device("pair", worker.url, two.codes[0], GRAPHFERRY_DEBUG="1"))
        outcomes += [two.at_worker("devices"), two.at_worker("devices", "--json"), two.at_worker("devices", "revoke", "laptop")]
        outcomes += [two.at_device("run", "g.yaml", GRAPHFERRY_DEBUG="1"), two.at_device("runs", "show", json_id(two))]
        outcomes.append(two.pair(worker.url))
        worker.send(signal.SIGTERM)
        outcomes.append(worker.outcome())
    assert [each.status for each in outcomes] == [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0]
    secrets = [first, two.token, *two.codes, *(code.replace("-", "") for code in two.codes), *(code[5:] for code in two.codes)]
    assert len(set(secrets)) == len(secrets)
    said = "\n".join(each.stdout + each.stderr for each in outcomes)
    for secret in secrets:
        assert secret not in said
    allowed = two.device / "edge" / "workers.json"
    for path in (each for each in two.folder.rglob("*") if each.is_file() and each != allowed):
        content = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in content] == [], path
    assert first not in allowed.read_text()
    for path in (allowed, two.worker / "cloud" / "devices.db", two.worker / "cloud" / "certificate.pem"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def json_id(two: Two) -> str:
    return str(json.loads(two.at_device("runs", "--json").stdout)[0]["run"])


def test_revoking_ends_what_is_open_and_the_device_is_told(two: Two) -> None:
    with gates(two.folder) as gate, two.serving(*MINE) as worker:
        (two.folder / "gated.yaml").write_text(GATED.replace("PORT", str(gate.port)), encoding="utf-8")
        assert two.pair(worker.url).status == 0
        with start("run", "gated.yaml", *MINE, home=two.device, cwd=two.folder) as device:
            held = gate.next()
            assert held.who["pid"] == worker.pid
            assert two.at_worker("devices", "revoke", "laptop").status == 0
            outcome = device.outcome()
            held.gone()
        assert outcome.status in (3, 4)
        assert "access was revoked" in outcome.stderr
        assert "graphferry resume" in outcome.stderr
        assert "paired: laptop" in worker.error_line() + worker.error_line()
        assert two.pair(worker.url).status == 0
        run = next(line for line in outcome.stderr.splitlines() if "graphferry resume" in line).split()[-1]
        with start("resume", run, *MINE, "--json", home=two.device, cwd=two.folder) as device:
            gate.next().release("done")
            resumed = device.outcome()
        assert resumed.status == 0, resumed.stderr
        assert json.loads(resumed.stdout)["results"] == {"far": "done"}


def test_another_certificate_is_refused_aloud_and_gets_nothing(two: Two) -> None:
    with two.serving() as worker:
        assert two.pair(worker.url).status == 0
        port = str(worker.port)
    (two.worker / "cloud" / "certificate.pem").unlink()
    with two.serving("--port", port) as worker:
        refused = two.at_device("run", "g.yaml")
        assert refused.status == 4
        assert "HAS CHANGED: nothing was sent" in refused.stderr
        assert "graphferry pair" in refused.stderr
        assert made(two.worker, "cloud") == []
        assert two.pair(worker.url).status == 0
        assert two.at_device("run", "g.yaml").status == 0


def test_who_was_not_paired_does_not_get_in(two: Two) -> None:
    with two.serving() as worker:
        stranger = two.at_device("run", "g.yaml", "--cloud", worker.url)
        assert stranger.status == 4
        assert "cannot be verified" in stranger.stderr
        for code in ("0000-0000-0000-0000", "0000-0000-0000-0001"):
            wrong = two.at_device("pair", worker.url, code)
            assert wrong.status == 1
            assert "wrong, used up or expired" in wrong.stderr
        assert not (two.device / "edge" / "workers.json").exists()
        wanted = "sha256:" + "00" * 32
        insisting = two.pair(worker.url, "--fingerprint", wanted)
        assert insisting.status == 4
        assert wanted in insisting.stderr
        with socket.create_connection(("127.0.0.1", worker.port)) as plain:
            plain.sendall(b"GET /v1/link HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP")


def test_a_token_from_a_file_works_over_tls_with_a_certificate_that_is_verified(two: Two) -> None:
    (two.folder / "token").write_text("open sesame\n", encoding="utf-8")
    with two.serving():  # makes a certificate
        own = (two.worker / "cloud" / "certificate.pem").read_text()
    (two.folder / "cert.pem").write_text(own[own.index("-----BEGIN CERT") :], encoding="ascii")
    (two.folder / "key.pem").write_text(own[: own.index("-----BEGIN CERT")], encoding="ascii")
    words = ("--token-file", "token", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    with two.serving(*words) as worker:
        run = ("run", "g.yaml", "--cloud", worker.url)
        verified = {"SSL_CERT_FILE": str(two.folder / "cert.pem")}
        assert two.at_device(*run, real=True, GRAPHFERRY_TOKEN="open sesame", **verified).status == 0
        wrong = two.at_device(*run, real=True, GRAPHFERRY_TOKEN="open", **verified)
        assert wrong.status == 4
        assert "does not accept this token" in wrong.stderr
        assert two.at_device(*run, GRAPHFERRY_TOKEN="open sesame").status == 4


ACCOUNTS = """{
  default: {models: [large]},
  poor: {quota: {disk: 1B}},
  narrow: {models: []},
}"""


@pytest.mark.parametrize(
    ("account", "told"),
    [("poor", "its quota is 1"), ("narrow", "needs the model 'large', which neither this device nor the worker has")],
)
def test_a_limit_of_an_account_is_a_condition_of_the_link(two: Two, account: str, told: str) -> None:
    with two.serving(accounts=ACCOUNTS) as worker:
        assert two.pair(worker.url, account=account).status == 0
        if account == "poor":  # the first run finds room, and fills it
            first = two.at_device("run", "g.yaml", "--json")
            assert json.loads(first.stdout)["errors"]["a"]["code"] == "QUOTA", "its result found no room"
        outcome = two.at_device("run", "g.yaml", "--json")
        assert told in outcome.stderr or told in outcome.stdout
        assert '"failed"' not in outcome.stdout
        assert outcome.status in (2, 3, 4)
        assert two.pair(worker.url).status == 0, "another account is not touched"
        assert two.at_device("run", "g.yaml").status == 0


def test_a_node_with_effects_whose_result_finds_no_room_is_not_repeated(two: Two) -> None:
    with gates(two.folder) as gate, two.serving(*MINE, accounts="{default: {quota: {disk: 10KB}}}") as worker:
        text = f"""\
version: 0.5
nodes:
  big: {{agent: bigAgent, place: cloud, params: {{bytes: 20000}}}}
  paid: {{agent: onceAgent, place: cloud, isResult: true, params: {{port: {gate.port}}}, inputs: {{of: :big}}}}
"""
        (two.folder / "gated.yaml").write_text(text, encoding="utf-8")
        assert two.pair(worker.url).status == 0
        with start("run", "gated.yaml", *MINE, "--json", home=two.device, cwd=two.folder) as device:
            gate.next().release("done")
            first = device.outcome()
        assert first.status == ExitStatus.SUSPENDED, first.stderr
        found = json.loads(first.stdout)
        assert found["errors"]["paid"]["code"] == "NODE_INDETERMINATE"
        assert "what it gave is not kept: the account 'default'" in found["errors"]["paid"]["message"]
        for _ in range(2):  # whoever went on with it ran it again
            again = two.at_device("resume", found["run"], *MINE, "--json")
            assert again.status == ExitStatus.SUSPENDED, again.stderr
            assert json.loads(again.stdout)["errors"]["paid"]["code"] == "NODE_INDETERMINATE"
        said = two.at_device("resume", found["run"], *MINE, "--json", "--assume", 'paid=done:"done"')
        assert said.status == 0, said.stderr
        assert json.loads(said.stdout)["results"] == {"paid": "done"}
        gate.nobody_else()


def test_no_more_runs_at_once_than_the_account_has(two: Two) -> None:
    with gates(two.folder) as gate, two.serving(*MINE, accounts="{default: {quota: {runs: 1}}}") as worker:
        (two.folder / "gated.yaml").write_text(GATED.replace("PORT", str(gate.port)), encoding="utf-8")
        assert two.pair(worker.url).status == 0
        with start("run", "gated.yaml", *MINE, home=two.device, cwd=two.folder) as device:
            held = gate.next()
            other = two.folder / "device 2"
            code = json.loads(two.at_worker("pair", "--json").stdout)["code"]
            assert two.command(other, "pair", worker.url, code).status == 0
            second = two.command(other, "run", "g.yaml")
            assert second.status in (3, 4)
            assert "1 open run at this worker, which is its limit" in second.stderr
            held.release("done")
            assert device.outcome().status == 0
        assert two.command(other, "run", "g.yaml").status == 0
