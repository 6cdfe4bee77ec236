from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.pairings import Pairing, Pairings, credentials, device_id, link_url
from graphs.errors import UsageError

URL = "wss://worker:8765/v1/link"


def pairing(url: str = URL, token: str = "secret", fingerprint: str | None = "sha256:00") -> Pairing:
    return Pairing(url, token, fingerprint, "default", 1)


def test_what_is_kept_is_found_again_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    pairings = Pairings(tmp_path / "edge")
    assert (pairings.all(), pairings.last, pairings.find(URL)) == ([], None, None)
    pairings.put(pairing())
    pairings.put(pairing("wss://other:1/v1/link", "second", None))
    assert pairings.path.stat().st_mode & 0o777 == 0o600
    assert Pairings(tmp_path / "edge").find(URL) == pairing()
    assert pairings.last == "wss://other:1/v1/link"
    pairings.put(pairing(token="newer"))
    assert [each.token for each in pairings.all()] == ["second", "newer"]
    assert pairings.last == URL
    assert [each.name for each in (tmp_path / "edge").iterdir()] == ["workers.json"]
    assert "newer" not in repr(pairings.all())


def test_a_worker_keeps_its_name_when_it_is_paired_again(tmp_path: Path) -> None:
    pairings = Pairings(tmp_path)
    pairings.put(replace(pairing(), alias="our-worker"))
    pairings.put(pairing("wss://other:1/v1/link"))
    pairings.put(pairing(token="newer"))
    assert pairings.names() == {"our-worker": URL}
    pairings.put(replace(pairing(), alias="renamed"))
    assert pairings.names() == {"renamed": URL}
    older = pairings.path.read_text(encoding="utf-8").replace('"alias"', '"paired"')
    pairings.path.write_text(older, encoding="utf-8")
    assert pairings.names() == {}, "files from before have no names"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_tokens_that_others_may_read_are_not_used(tmp_path: Path, mode: int) -> None:
    pairings = Pairings(tmp_path)
    pairings.put(pairing())
    pairings.path.chmod(mode)
    for look in (pairings.all, lambda: credentials(tmp_path, URL, None)):
        with pytest.raises(UsageError, match="others may read it") as caught:
            look()
        assert f"chmod 600 {pairings.path}" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "[]", '{"workers": 7}', '{"workers": [{"token": "CANARY"}]}', "CANARY"])
def test_a_broken_file_is_named_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "workers.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be read") as caught:
        Pairings(tmp_path).all()
    assert str(path) in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("wss://worker:8765/v1/link", URL),
        ("WSS://Worker:8765", URL),
        (" wss://worker:8765/ ", URL),
        ("wss://worker", "wss://worker:443/v1/link"),
        ("ws://[::1]:8765", "ws://[::1]:8765/v1/link"),
        ("ws://127.0.0.1:1/other", "ws://127.0.0.1:1/other"),
    ],
)
def test_one_worker_has_one_url(typed: str, url: str) -> None:
    assert link_url(typed) == url


@pytest.mark.parametrize(
    "text",
    ["", "worker:8765", "https://worker", "wss://", "wss://w:no", "wss://w:99999", "wss://u:p@w", "wss://w?token=1", "wss://w#x"],
)
def test_what_is_no_link_url(text: str) -> None:
    with pytest.raises(UsageError, match="not a link URL"):
        link_url(text)


def test_a_paired_worker_gets_its_own_token_and_no_other_does(tmp_path: Path) -> None:
    Pairings(tmp_path).put(pairing())
    assert credentials(tmp_path, "wss://WORKER:8765", "mine") == ("secret", "sha256:00")
    assert credentials(tmp_path, "wss://other:8765/v1/link", "mine") == ("mine", None)
    assert credentials(tmp_path, "no url", "mine") == ("mine", None)


def test_nothing_is_sent_in_the_clear_but_on_this_machine(tmp_path: Path) -> None:
    for url in ("ws://127.0.0.1:1/v1/link", "ws://localhost:1", "ws://[::1]:1"):
        assert credentials(tmp_path, url, "mine") == ("mine", None)
    for url in ("ws://worker:8765/v1/link", "WS://192.0.2.1", "ws://127.0.0.1.example.org:1/v1/link"):
        with pytest.raises(UsageError, match="not encrypted"):
            credentials(tmp_path, url, "mine")
        assert credentials(tmp_path, url, "mine", plain=True) == ("mine", None)


def test_a_device_is_named_by_its_store() -> None:
    assert device_id(b"12345678") == b"12345678" + bytes(8)
