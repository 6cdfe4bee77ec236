"""TLS of the link: TLS 1.3 contexts for both sides, and certificates known by their SHA-256 fingerprint.

A pinned certificate is compared when the handshake ends and before a byte of ours leaves, so a token is never shown to a stranger.
Its dates and names are not looked at: whoever holds its key is the worker that this device was paired with (docs/protocol.md §18).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from pathlib import Path
from typing import Any, Final

from graphs.errors import UsageError

__all__ = [
    "WrongCertificate",
    "certificate_fingerprint",
    "client_context",
    "fingerprint_of",
    "parse_fingerprint",
    "server_context",
]

_FORM: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class WrongCertificate(ssl.SSLCertVerificationError):
    """The peer shows another certificate than the pinned one. `seen` and `pinned` are fingerprints."""

    def __init__(self, seen: str, pinned: str) -> None:
        super().__init__(f"the certificate is {seen}, not {pinned}")
        self.seen = seen
        self.pinned = pinned


def fingerprint_of(der: bytes) -> str:
    """A certificate's fingerprint: `sha256:` and 64 digits."""
    return "sha256:" + hashlib.sha256(der).hexdigest()


def parse_fingerprint(text: str) -> str:
    """A fingerprint as people copy it: with or without `sha256:` and colons, in any case. Raises UsageError."""
    bare = re.sub(r"^sha-?256( fingerprint=|[:=])", "", text.strip().lower())
    match = _FORM.fullmatch(bare.replace(":", "").replace(" ", ""))
    if match is None:
        raise UsageError(
            f"{text!r} is no fingerprint of a certificate: that is `sha256:` and 64 digits from 0 to f",
            hint="The worker prints it: graphferry serve pair",
        )
    return "sha256:" + match[1]


def certificate_fingerprint(path: Path) -> str:
    """The fingerprint of the first certificate in a PEM file. Raises UsageError."""
    try:
        text = path.read_text(encoding="ascii")
        begin = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")
        der = ssl.PEM_cert_to_DER_cert(text[begin:end])
        if not der:
            raise ValueError("it is empty")
        return fingerprint_of(der)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} holds no certificate that can be read: {error}") from error


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.3 with this certificate (PEM, with its chain) and key; without `key` the key is in the same file. Raises UsageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        where = f"{certificate} and {key}" if key is not None else str(certificate)
        raise UsageError(
            f"the certificate and key in {where} cannot be used: {error}", hint="Both are PEM; the key has no password."
        ) from error
    return context


def client_context(pinned: str | None = None, *, trusting: bool = False) -> ssl.SSLContext:
    """TLS 1.3 towards a worker: whose certificate has this fingerprint, or without one a certificate that this system verifies.

    `trusting` takes any certificate: for the moment of pairing, where both sides prove afterwards that nobody is in between.
    """
    if pinned is None and not trusting:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if pinned is not None:
        context.sslobject_class = _pinning(parse_fingerprint(pinned))
    return context


def _pinning(pinned: str) -> type[ssl.SSLObject]:
    class Pinned(ssl.SSLObject):
        """A connection whose handshake fails unless the peer's certificate is the pinned one."""

        def do_handshake(self) -> None:
            super().do_handshake()
            seen = fingerprint_of(self.getpeercert(binary_form=True) or b"")
            if not hmac.compare_digest(seen, pinned):
                raise WrongCertificate(seen, pinned)

    return Pinned


def _no_password(*_: Any) -> str:
    """A worker starts without a person: OpenSSL shall not ask at the terminal."""
    raise ValueError("the key has a password")
