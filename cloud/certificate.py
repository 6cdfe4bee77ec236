"""The worker's own certificate: self-signed, made once, kept beside its journal. Devices know it by its fingerprint."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphs.errors import UsageError

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

__all__ = ["own_certificate"]

_DAYS: Final = 3650
"""Pinned certificates are known by their fingerprint; the dates are for those who verify one in another way."""


def own_certificate(path: Path, names: Collection[str]) -> Path:
    """The certificate and key in this file, made if there is none, readable by their owner only; `names` are host names and addresses.

    Raises UsageError without the package `cryptography`, which is only needed to make one.
    """
    if path.is_file():
        return path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    pem = _make(names)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)  # whoever is first: two workers that start at once have one certificate
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return path


def _make(names: Collection[str]) -> bytes:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise UsageError(
            "making a certificate needs the package `cryptography`, which is not installed",
            hint="pip install 'graphferry[tls]'; or bring a certificate of your own: --tls-cert FILE --tls-key FILE",
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "graphferry worker")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> GeneralName:
    from cryptography.x509 import DNSName, IPAddress

    try:
        return IPAddress(ip_address(name))
    except ValueError:
        return DNSName(name.encode("idna").decode("ascii"))
