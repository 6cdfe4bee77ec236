"""Pairing: a one-time code becomes a device's own token, and each side learns that nobody is in between (docs/protocol.md §18).

The code never crosses. Each side proves that it knows it, by a MAC over the certificate as it sees it; so whoever sits in between with
a certificate of his own has no proof to pass on, and cannot answer in the worker's place. Here are the forms; who sends them is in
`edge.pair` and `cloud.pairing`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgpack

from graphs.errors import UsageError
from protocol.errors import RemoteProtocolError

__all__ = ["PAIR_PATH", "Code", "PairAnswer", "PairRequest", "pair_key"]

PAIR_PATH: Final = "/v1/pair"
MAX_MESSAGE: Final = 4096

_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: without the letters that are taken for others. A code is typed by people."""
_ID, _SECRET = 4, 12
_CONTEXT: Final = b"graphferry.pair.1"
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code: `id` says which it is, `secret` (60 bits) is what only the two sides know."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"<Code {self.id}>"

    @property
    def text(self) -> str:
        """As people copy it: four groups of four."""
        whole = self.id + self.secret
        return "-".join(whole[at : at + 4] for at in range(0, len(whole), 4))

    @classmethod
    def of(cls, random: bytes) -> Self:
        """A new code of 16 random bytes."""
        whole = "".join(_LETTERS[each % 32] for each in random[: _ID + _SECRET])
        return cls(whole[:_ID], whole[_ID:])

    @classmethod
    def parse(cls, text: str) -> Self:
        """A code as typed. Raises UsageError, which does not repeat it."""
        whole = text.strip().upper().translate(str.maketrans("OIL", "011", "- "))
        if len(whole) != _ID + _SECRET or not set(whole) <= set(_LETTERS):
            raise UsageError(
                "that is no pairing code: it has 16 letters and digits, as ABCD-EFGH-JKMN-PQRS",
                hint="On the worker: graphferry serve pair",
            )
        return cls(whole[:_ID], whole[_ID:])


def pair_key(code: Code) -> bytes:
    """The key both sides make of a code, slowly: who saw a proof must not find the code while it is good."""
    return hashlib.scrypt(code.secret.encode(), salt=_CONTEXT + code.id.encode(), n=1 << 14, r=8, p=1, dklen=32)


def _mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in (_CONTEXT, *parts)), "sha256")


@dataclass(frozen=True, slots=True)
class PairRequest:
    """What the device says: `code` is the code's id, `device` its 16 bytes, `name` what people call it, `nonce` 16 random bytes."""

    code: str
    device: bytes
    name: str
    nonce: bytes
    proof: bytes = b""

    def proved(self, key: bytes, binding: str) -> Self:
        """With the proof. `binding` is the fingerprint of the certificate seen, "" where the system verified it or there is no TLS."""
        proof = _mac(key, b"device", binding.encode(), self.device, self.name.encode(), self.nonce)
        return type(self)(self.code, self.device, self.name, self.nonce, proof)

    def holds(self, key: bytes, binding: str) -> bool:
        """Whether the proof was made with this key and that certificate. In constant time."""
        return hmac.compare_digest(self.proved(key, binding).proof, self.proof)

    def encode(self) -> bytes:
        """As it crosses: one msgpack map."""
        body = {"code": self.code, "device": self.device, "name": self.name, "nonce": self.nonce, "proof": self.proof}
        return bytes(msgpack.packb(body))

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Raises RemoteProtocolError."""
        body = _body(packet)
        return cls(
            _text(body, "code"),
            _bytes(body, "device", 16),
            _text(body, "name"),
            _bytes(body, "nonce", 16),
            _bytes(body, "proof", 32),
        )


@dataclass(frozen=True, slots=True)
class PairAnswer:
    """What the worker says: the device's own token and its account, or why not in `refused`."""

    token: str = ""
    account: str = ""
    refused: str = ""
    proof: bytes = b""

    def __repr__(self) -> str:
        return f"<PairAnswer {self.refused or self.account}>"

    def proved(self, key: bytes, binding: str, request: PairRequest) -> Self:
        """With the proof that it is the worker of this code."""
        proof = _mac(key, b"worker", binding.encode(), request.device, request.nonce, self.token.encode(), self.account.encode())
        return type(self)(self.token, self.account, self.refused, proof)

    def holds(self, key: bytes, binding: str, request: PairRequest) -> bool:
        """Whether the worker knows the code and shows the certificate that was seen. In constant time."""
        return hmac.compare_digest(self.proved(key, binding, request).proof, self.proof)

    def encode(self) -> bytes:
        """As it crosses."""
        if self.refused:
            return bytes(msgpack.packb({"refused": self.refused}))
        return bytes(msgpack.packb({"token": self.token, "account": self.account, "proof": self.proof}))

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Raises RemoteProtocolError."""
        body = _body(packet)
        if "refused" in body:
            return cls(refused=_text(body, "refused") or "no reason given")
        return cls(_text(body, "token"), _text(body, "account"), "", _bytes(body, "proof", 32))


def _body(packet: bytes) -> Mapping[str, Any]:
    if len(packet) > MAX_MESSAGE:
        raise _broken("too long")
    try:
        body = msgpack.unpackb(packet, strict_map_key=True, max_map_len=16, max_array_len=0, max_ext_len=0)
    except Exception as error:  # whatever the decoder raises on a stranger's bytes
        raise _broken("no msgpack map") from error
    if not isinstance(body, dict):
        raise _broken("no map")
    return body


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise _broken(f"{key!r} is no printable text of at most {_MAX_TEXT} characters")
    return value


def _bytes(body: Mapping[str, Any], key: str, size: int) -> bytes:
    value = body.get(key)
    if not isinstance(value, bytes) or len(value) != size:
        raise _broken(f"{key!r} is not {size} bytes")
    return value


def _broken(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("PROTOCOL_HANDSHAKE", f"pairing: {what}")
