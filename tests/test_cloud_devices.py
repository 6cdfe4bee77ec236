from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cloud.devices import DeviceStore, token_hash
from graphs.errors import JournalError, UsageError


def paired(store: DeviceStore, number: int, name: str = "laptop", account: str = "default", until: int | None = None) -> str:
    with store.transaction() as db:
        return store.add(db, bytes([number]) * 8 + bytes(8), account, name, 1000 + number, until)


def test_only_the_owner_may_read_it_and_no_token_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "cloud" / "devices.db"
    with DeviceStore(path) as store:
        token = paired(store, 1)
        assert path.stat().st_mode & 0o777 == 0o600
        assert token.encode() not in path.read_bytes()
        assert token_hash(token) in path.read_bytes()
    path.chmod(0o644)
    with DeviceStore(path):
        assert path.stat().st_mode & 0o777 == 0o600, "what somebody loosened is tightened"


def test_a_token_finds_its_device_and_nothing_else_does(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "d.db") as store:
        tokens = [paired(store, number, f"device {number}") for number in range(5)]
        assert [store.by_token(each).name for each in tokens if store.by_token(each)] == [f"device {n}" for n in range(5)]  # type: ignore[union-attr]
        for wrong in ("", tokens[0][:-1], tokens[0] + "x", tokens[0].upper(), "\udc80"):
            assert store.by_token(wrong) is None
        assert len(set(tokens)) == 5


def test_a_device_that_pairs_again_has_a_new_token_only(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "d.db") as store:
        old = paired(store, 1)
        store.revoke(bytes([1]) * 8 + bytes(8), 5)
        new = paired(store, 1, "laptop", "alice")
        assert store.by_token(old) is None
        found = store.by_token(new)
        assert found is not None
        assert (found.account, found.revoked) == ("alice", None)
        assert len(store.devices()) == 1


def test_what_another_process_changes_is_seen(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "d.db") as serving, DeviceStore(tmp_path / "d.db") as command:
        assert serving.devices() == []
        token = paired(command, 1)
        found = serving.by_token(token)
        assert found is not None
        command.revoke(found.device, 77)
        again = serving.get(found.device)
        assert again is not None
        assert again.revoked == 77
        command.revoke(found.device, 99)
        assert serving.devices()[0].revoked == 77, "the first time counts"


def test_a_device_is_found_by_name_or_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "d.db") as store:
        paired(store, 0xAB, "laptop")
        paired(store, 0xCD, "phone")
        assert store.find("phone").id == "cd" * 8
        assert store.find("ABAB").name == "laptop"
        for word in ("tablet", "ab", ""):
            with pytest.raises(UsageError, match="no paired device") as caught:
                store.find(word)
            assert "serve devices" in str(caught.value)
        paired(store, 0xEF, "phone")
        with pytest.raises(UsageError, match="may be any of these") as several:
            store.find("phone")
        assert "efef" in str(several.value)
        store.revoke(bytes([0xCD]) * 8 + bytes(8), 1)
        assert store.find("phone").id == "ef" * 8


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "d.db") as store:
        with pytest.raises(JournalError, match="cannot be used"), store.transaction() as db:
            assert [store.add(db, bytes(size), "default", "x", 1, None) for size in (16, 15)], "15 bytes are no id"
        assert store.devices() == []


def test_a_file_that_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(JournalError, match="cannot be used"):
        DeviceStore(tmp_path / "d.db")
    with DeviceStore(tmp_path / "e.db") as store:
        store._db.execute("DROP TABLE devices")
        with pytest.raises(JournalError, match="cannot be used"):
            store.devices()


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "d.db") as store:
        with store.transaction() as db:
            db.execute("INSERT INTO codes (code, secret, account, until) VALUES ('ABCD', ?, 'a', 1)", (b"CANARY" * 5,))
        with store.transaction() as db:
            db.execute("DELETE FROM codes")
    assert b"CANARY" not in (tmp_path / "d.db").read_bytes()
    sqlite3.connect(tmp_path / "d.db").close()
