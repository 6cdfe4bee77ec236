"""The worker's server: what it says before the upgrade, what it offers, and that it is there for many devices."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloud.access import Access
from cloud.accounts import Account
from cloud.server import WorkerServer
from cloud.session import Session
from cloud.worker import Worker
from conftest import CommandLine
from gates import AGENTS
from graphs.errors import UsageError, WorkerUnreachable
from graphs.journal import Journal
from graphs.journal.ids import new_run_id
from graphs.loadagents import known_agents
from graphs.models.scripted import ScriptedModel, ScriptedModels
from graphs.records import Cancel, Input, Submit, chain, encode
from logbook import until
from protocol import codec
from protocol.config import Config, Role
from protocol.events import Event, Ready
from protocol.handshake import DeviceHello, Statement, Status
from protocol.journal_store import JournalStore
from protocol.messages import Entry, Fault, Log, Ping, Pong
from protocol.transport import SUBPROTOCOL, connect, open_socket
from workers import ServedWorker, worker

LINK = "/v1/link"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": SUBPROTOCOL,
}


def ask(served: ServedWorker, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        if response.status != 101:
            response.read()
        return response
    finally:
        connection.close()


def test_health_is_told_to_everybody(own_home: Path) -> None:
    with worker(own_home, token="secret") as served:
        assert ask(served, "/healthz").status == 200


@pytest.mark.parametrize(
    ("path", "different", "status"),
    [
        (LINK, {"Authorization": "Bearer secret"}, 101),
        (LINK, {"Authorization": "bearer secret"}, 101),
        ("/", {"Authorization": "Bearer secret"}, 404),
        ("/v1/links", {"Authorization": "Bearer secret"}, 404),
        (LINK, {}, 401),
        (LINK, {"Authorization": "Bearer secre"}, 401),
        (LINK, {"Authorization": "Bearer secrets"}, 401),
        (LINK, {"Authorization": "Basic secret"}, 401),
        (LINK, {"Authorization": "Bearer secret", "Origin": "https://example.org"}, 403),
        (LINK, {"Authorization": "Bearer secret", "Origin": "null"}, 403),
        (LINK, {"Authorization": "Bearer secret", "Sec-WebSocket-Protocol": "graphferry.v9"}, 426),
        (LINK, {"Authorization": "Bearer secret", "Sec-WebSocket-Protocol": ""}, 426),
    ],
)
def test_what_is_wrong_is_said_before_the_upgrade(own_home: Path, path: str, different: dict[str, str], status: int) -> None:
    with worker(own_home, token="secret") as served:
        response = ask(served, path, **{**UPGRADE, **different})
    assert response.status == status
    if status == 401:
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_without_a_token_every_device_of_this_machine_may_come(own_home: Path) -> None:
    with worker(own_home) as served:
        assert ask(served, LINK, **UPGRADE).status == 101


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_without_tls_only_loopback_is_served(own_home: Path, host: str) -> None:
    async def main() -> None:
        with Journal.open(own_home / "cloud" / "journal.db") as journal:
            server = WorkerServer(Worker(journal, known_agents(), ScriptedModels()), host=host)
            with pytest.raises(UsageError, match="without TLS only loopback addresses are served"):
                await server.start()

    asyncio.run(main())


def heard_by_a_device(served: ServedWorker, home: Path, token: str | None = None) -> Ready:
    async def main() -> Ready:
        def ignore(_: Event) -> None:
            pass

        with Journal.open(home / "edge" / "journal.db") as journal:
            config = Config(role=Role.DEVICE, peer=served.url, device=journal.store_id + bytes(8))
            async with connect(served.url, config, JournalStore(journal), ignore, token=token) as (_, ready):
                return ready

    return asyncio.run(main())


def test_the_offer_says_what_there_is(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "gate_agents.py").write_text(AGENTS, encoding="utf-8")
    model = ScriptedModel("large", context=77)
    with worker(own_home, models=(model, "other"), agents=("gate_agents.py",), folder=tmp_path) as served:
        offer: Any = heard_by_a_device(served, own_home).offer
    assert set(offer["models"]) == {"large", "other"}
    assert (offer["models"]["large"]["digest"], offer["models"]["large"]["context"]) == (model.info.digest, 77)
    assert offer["models"]["large"]["loaded"] is True
    assert offer["agents"]["gateAgent"] == "1"
    assert offer["agents"]["llmAgent"] == "1"
    assert offer["slots"] >= offer["queue"] > 0


def test_a_device_without_the_token_is_told_what_to_do(own_home: Path) -> None:
    with worker(own_home, token="secret") as served:
        with pytest.raises(WorkerUnreachable, match="does not accept this token") as caught:
            heard_by_a_device(served, own_home, token="wrong")
        assert "GRAPHFERRY_TOKEN" in (caught.value.hint or "")
        assert heard_by_a_device(served, own_home, token="secret").store


def test_one_device_may_come_again_and_again(own_home: Path) -> None:
    with worker(own_home) as served:
        stores = {heard_by_a_device(served, own_home).store for _ in range(5)}
        assert len(stores) == 1
        devices = served.server._devices
        until(lambda: served.call(lambda: sum(len(each.sessions) for each in devices.values())) == 0)


def test_what_speaks_another_language_does_not_bring_it_down(own_home: Path) -> None:
    async def main(url: str) -> int | None:
        from websockets.asyncio.client import connect as open_socket
        from websockets.exceptions import ConnectionClosed
        from websockets.typing import Subprotocol

        async with open_socket(url, subprotocols=[Subprotocol(SUBPROTOCOL)]) as socket:
            await socket.send(b"\xc1 no such byte")
            try:
                while True:
                    await socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None

    with worker(own_home) as served:
        assert asyncio.run(main(served.url)) == 4400
        assert heard_by_a_device(served, own_home).store


def test_a_worker_that_stops_tells_its_devices(cli: CommandLine, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n  a: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n", encoding="utf-8"
    )
    with worker(own_home) as served:
        url = served.url
        assert cli("run", "g.yaml", "--cloud", url).status == 0
    assert cli("run", "g.yaml", "--cloud", url).status == 4


# -- accounts


class Raw:
    """A device that says what a device would not."""

    def __init__(self, url: str, token: str, device: bytes) -> None:
        self._url = url
        self._token = token
        self.device = device
        self.conn = 0

    async def say(self, *messages: Any, logs: Sequence[Statement] = ()) -> list[Any]:
        """Say HELLO and this, and give the answers up to the next PONG."""
        self.conn += 1
        hello = DeviceHello(self.device, self.device[:8], self.conn, logs=tuple(logs))
        socket = await open_socket(self._url, self._token)
        try:
            await socket.send(b"".join(map(codec.encode, [hello.message(), *messages])))
            found: list[Any] = []
            async with asyncio.timeout(120):
                await socket.send(codec.encode(Ping(1, 1)))
                while not any(isinstance(each, Pong) for each in found):
                    found += codec.decode(await socket.recv(decode=False))
                return found
        finally:
            await socket.close()


def opening(run: bytes, device: bytes) -> list[Any]:
    submit = Submit("", bytes(32), {}, {})
    return [Log(1, run, device[:8], 1), Entry(1, 1, encode(submit), submit)]


def test_another_accounts_run_is_an_unknown_one_and_cannot_be_written_to(own_home: Path) -> None:
    digest = {each: "sha256:" + hashlib.sha256(each.encode()).hexdigest() for each in ("a", "b")}
    accounts = {
        "default": Account(),
        "alice": Account("alice", tokens={"x": digest["a"]}),
        "bob": Account("bob", tokens={"y": digest["b"]}),
    }
    run = new_run_id()

    async def main() -> None:
        with Journal.open(own_home / "cloud" / "journal.db") as journal:
            server = WorkerServer(Worker(journal, known_agents(), ScriptedModels()), access=Access(accounts))
            url = await server.start()
            alice, bob = Raw(url, "a", b"A" * 16), Raw(url, "b", b"B" * 16)
            await alice.say(*opening(run, alice.device))
            while not journal.knows(run):
                await alice.say()
            statement = Statement(run, alice.device[:8], 0, 0)
            own = (await alice.say(logs=[statement]))[0].body["logs"]
            assert own[0][2] == 1
            for stranger in (bob, Raw(url, "b", alice.device)):
                foreign = (await stranger.say(logs=[statement]))[0].body["logs"]
                assert foreign == [[run, alice.device[:8], 0, 0, int(Status.UNKNOWN)]]
                said = await stranger.say(*opening(run, stranger.device))
                assert [each.code for each in said if isinstance(each, Fault)] == ["RUN_UNKNOWN"]
            assert {head.writer for head in journal.heads(run)} <= {alice.device[:8], journal.store_id}
            assert journal.have(run, alice.device[:8]) == 1
            await server.stop()

    asyncio.run(main())


def test_a_run_whose_copies_contradict_each_other_goes_on_nowhere(own_home: Path) -> None:
    run = new_run_id()

    async def main() -> None:
        with Journal.open(own_home / "cloud" / "journal.db") as journal:
            server = WorkerServer(Worker(journal, known_agents(), ScriptedModels()))
            url = await server.start()
            device = Raw(url, "", b"A" * 16)
            await device.say(*opening(run, device.device))
            session = server._devices["default", device.device]
            while run not in session.runs:
                await device.say()
            said = (await device.say(logs=[Statement(run, device.device[:8], 1, 12_345)]))[0].body["logs"]
            assert said[0][4] == Status.DIVERGED
            assert run not in session.runs
            journal.flush()
            assert journal.run(run).status == "diverged"
            await server.stop()
        with Journal.open(own_home / "cloud" / "journal.db") as journal:
            later = WorkerServer(Worker(journal, known_agents(), ScriptedModels()))
            await later.start()
            assert not later._devices, "nor does the next process go on with it"
            await later.stop()

    asyncio.run(main())


def test_each_session_asks_the_gate_of_its_own_account(own_home: Path) -> None:
    async def main() -> None:
        with Journal.open(own_home / "cloud" / "journal.db") as journal:
            server = WorkerServer(Worker(journal, known_agents(), ScriptedModels()))
            for account, passes in ((Account(), False), (Account("alice", clearance=frozenset({"pii"})), True)):
                device = server._device(account, bytes(16))
                assert device is server._device(account, bytes(16))
                session = Session(device, 0)
                assert session.link._conn._state.clear(["pii"]) is passes
                assert session.link._conn._state.clear([])
            assert len(server._devices) == 2, "the same device in another account is another one"

    asyncio.run(main())


def test_a_result_the_account_has_no_room_for_is_a_condition_and_the_run_goes_on(
    cli: CommandLine, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 0.5\nnodes:\n"
        "  far: {agent: llmAgent, model: large, isResult: true, inputs: {prompt: hi}}\n"
        "  near: {agent: copyAgent, isResult: true, inputs: {t: 1}}\n",
        encoding="utf-8",
    )
    with worker(own_home) as served:
        account = served.server._access.accounts["default"]
        served.call(lambda: served.server._holdings.wrote(account, account.disk - 1))
        outcome = cli("run", "g.yaml", "--cloud", served.url, "--json")
    report = json.loads(outcome.stdout)
    assert (outcome.status, report["status"]) == (3, "suspended")
    assert report["errors"]["far"]["code"] == "QUOTA"
    assert report["results"] == {"near": {"t": 1}}


def test_an_order_over_the_quota_is_refused_and_the_session_goes_on(own_home: Path) -> None:
    run, other = new_run_id(), new_run_id()

    async def main() -> None:
        with Journal.open(own_home / "cloud" / "journal.db") as journal:
            server = WorkerServer(Worker(journal, known_agents(), ScriptedModels()))
            device = Raw(await server.start(), "", b"A" * 16)
            await device.say(*opening(run, device.device))
            while not journal.knows(run):
                await device.say()
            account, holdings = server._access.accounts["default"], server._holdings
            holdings.wrote(account, account.disk + (16 << 20))
            order, cancel = Input("a", 4, "x" * 100), Cancel(None, "enough")
            again = [Log(1, run, device.device[:8], 2), Entry(1, 2, encode(order), order), Entry(1, 3, encode(order), order)]
            submit = encode(Submit("", bytes(32), {}, {}))
            held = [Statement(run, device.device[:8], 1, chain(0, submit.type, submit.tail))]
            said = await device.say(*again, logs=held)
            faults = [each for each in said if isinstance(each, Fault)]
            assert [(each.code, each.fatal, each.about) for each in faults] == [("QUOTA", False, 1)]
            assert "'default'" in faults[0].text
            assert isinstance(said[-1], Pong), "it goes on"
            refused = [each for each in await device.say(*opening(other, device.device)) if isinstance(each, Fault)]
            assert [each.code for each in refused] == ["QUOTA"]
            await device.say(Log(1, run, device.device[:8], 2), Entry(1, 2, encode(cancel), cancel), logs=held)
            while journal.have(run, device.device[:8]) < 2:
                await device.say()
            assert not journal.knows(other)
            await server.stop()

    asyncio.run(main())
