"""TLS over real sockets: a pinned certificate, another one, and that nothing is said to a stranger."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from certificates import certificate, fingerprint, listening
from graphs.errors import UsageError
from protocol.errors import WorkerUntrusted
from protocol.tls import (
    WrongCertificate,
    certificate_fingerprint,
    client_context,
    fingerprint_of,
    parse_fingerprint,
    server_context,
)
from protocol.transport import open_socket

DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{DIGITS}",
        DIGITS,
        DIGITS.upper(),
        f"  SHA256:{DIGITS.upper()}\n",
        "sha256 Fingerprint=" + ":".join(DIGITS[at : at + 2] for at in range(0, 64, 2)).upper(),
        ":".join(DIGITS[at : at + 2] for at in range(0, 64, 2)),
    ],
)
def test_a_fingerprint_is_read_as_people_copy_it(text: str) -> None:
    assert parse_fingerprint(text) == f"sha256:{DIGITS}"


@pytest.mark.parametrize("text", ["", "sha256:", DIGITS[:-1], DIGITS + "0", "g" * 64, f"md5:{DIGITS}", f"sha1:{DIGITS[:40]}"])
def test_what_is_no_fingerprint_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageError, match="no fingerprint"):
        parse_fingerprint(text)


def test_the_fingerprint_of_a_file_is_that_of_its_first_certificate(tmp_path: Path) -> None:
    first, second = certificate("first").read_text(), certificate("second").read_text()
    (tmp_path / "chain.pem").write_text(first + second)
    assert certificate_fingerprint(tmp_path / "chain.pem") == fingerprint("first") != fingerprint("second")
    pem = first[first.index("-----BEGIN CERT") :]
    assert fingerprint("first") == fingerprint_of(ssl.PEM_cert_to_DER_cert(pem))


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_certificate_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.pem").write_text(text)
    with pytest.raises(UsageError, match="holds no certificate"):
        certificate_fingerprint(tmp_path / "c.pem")
    with pytest.raises(UsageError, match="cannot be used"):
        server_context(tmp_path / "c.pem")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    pem = certificate("first").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (tmp_path / "key.pem").write_bytes(locked)
    with pytest.raises(UsageError, match="the key has a password"):
        server_context(certificate("first"), tmp_path / "key.pem")


def test_a_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        server_context(certificate("first"), certificate("second"))


async def reach(port: int, context: ssl.SSLContext) -> str | None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    version: str | None = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return version


def test_the_pinned_certificate_is_enough_and_another_is_too_little() -> None:
    async def main() -> None:
        async with listening("first") as server:
            assert await reach(server.port, client_context(fingerprint("first"))) == "TLSv1.3"
            assert await reach(server.port, client_context(trusting=True)) == "TLSv1.3"
            with pytest.raises(WrongCertificate) as caught:
                await reach(server.port, client_context(fingerprint("second")))
            assert (caught.value.seen, caught.value.pinned) == (fingerprint("first"), fingerprint("second"))
            with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
                await reach(server.port, client_context())

    asyncio.run(main())


def test_older_versions_of_tls_are_not_spoken() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(certificate("first"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with listening("first", old) as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await reach(server.port, client_context(fingerprint("first")))

    asyncio.run(main())


def test_no_token_is_said_to_one_who_shows_another_certificate() -> None:
    async def main() -> None:
        async with listening("first") as server:
            url = f"wss://127.0.0.1:{server.port}/v1/link"
            with pytest.raises(WorkerUntrusted) as caught:
                await open_socket(url, "CANARY-token", tls=client_context(fingerprint("second")))
            assert "HAS CHANGED" in caught.value.message
            assert fingerprint("first") in caught.value.message
            assert fingerprint("second") in caught.value.message
            assert "serve pair" in (caught.value.hint or "")
            assert not caught.value.retryable
            with pytest.raises(WorkerUntrusted, match="cannot be verified"):
                await open_socket(url, "CANARY-token", tls=client_context())
        assert bytes(server.heard) == b""

    asyncio.run(main())
