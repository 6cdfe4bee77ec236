from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cloud.devices import DeviceStore
from cloud.serving import Serving
from conftest import CommandLine
from protocol.pairing import Code


@pytest.fixture
def serving(own_home: Path) -> Serving:
    """A file that says this test's own process is a worker."""
    found = Serving("wss://worker:8765/v1/link", "sha256:" + "ab" * 32, ["default", "alice"], os.getpid())
    found.write(own_home / "cloud")
    return found


def add(home: Path, name: str, number: int) -> None:
    with DeviceStore(home / "cloud" / "devices.db") as store, store.transaction() as db:
        store.add(
            db, bytes([number]) * 8 + bytes(8), "alice", name, 1_700_000_000_000, 1_700_000_000_001 if number == 9 else None
        )


def test_a_code_is_printed_with_all_that_is_typed_on_the_device(cli: CommandLine, serving: Serving) -> None:
    outcome = cli("serve", "pair")
    assert outcome.status == 0
    lines = outcome.stdout.splitlines()
    code = lines[1].split()[1]
    assert Code.parse(code).text == code
    assert lines[0].split() == ["url", serving.url]
    assert lines[2].split() == ["certificate", serving.fingerprint]
    assert lines[-1].strip() == f"graphferry pair {serving.url} {code}"
    assert outcome.stderr == ""


def test_a_code_as_json(cli: CommandLine, serving: Serving) -> None:
    told = json.loads(cli("serve", "pair", "--account", "alice", "--json").stdout)
    assert (told["url"], told["fingerprint"], told["account"]) == (serving.url, serving.fingerprint, "alice")
    assert Code.parse(told["code"]).text == told["code"]


def test_without_a_worker_or_such_an_account_there_is_no_code(cli: CommandLine, own_home: Path) -> None:
    outcome = cli("serve", "pair")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "no worker serves" in outcome.stderr
    assert "graphferry serve" in outcome.stderr
    Serving("ws://h:1/v1/link", None, ["default"], os.getpid()).write(own_home / "cloud")
    outcome = cli("serve", "pair", "--account", "bob")
    assert outcome.status == 2
    assert "no such account; it has default" in outcome.stderr


def test_devices_are_listed_and_revoked(cli: CommandLine, own_home: Path) -> None:
    assert "no devices are paired" in cli("serve", "devices").stdout
    for number, name in ((1, "laptop"), (2, "phone"), (9, "kiosk")):
        add(own_home, name, number)
    assert json.loads(cli("serve", "devices", "--json").stdout)[0] == {
        "device": "01" * 8, "name": "laptop", "account": "alice", "state": "paired", "paired": 1_700_000_000_000, "until": None, "revoked": None,
    }  # fmt: skip
    outcome = cli("serve", "devices", "revoke", "phone")
    assert outcome.status == 0
    assert "phone (0202020202020202) may not come any more" in outcome.stdout
    assert "had no access any more" in cli("serve", "devices", "revoke", "0202").stdout
    states = [line.split()[3] for line in cli("serve", "devices").stdout.splitlines()]
    assert states == ["paired", "revoked", "expired"]
    wrong = cli("serve", "devices", "revoke", "tablet")
    assert wrong.status == 2
    assert "no paired device is named 'tablet'" in wrong.stderr
