"""The words of pairing: codes as people type them, and proofs that hold for one key, one certificate and one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, strategies as st

from graphs.errors import UsageError
from protocol.errors import RemoteProtocolError
from protocol.pairing import Code, PairAnswer, PairRequest, pair_key

CODE = Code("ABCD", "EFGH0123JKMN")
KEY = pair_key(CODE)
REQUEST = PairRequest("ABCD", bytes(16), "laptop", bytes(range(16)))
SEEN = "sha256:" + "ab" * 32


@given(st.binary(min_size=16, max_size=16))
def test_a_code_survives_being_typed(random: bytes) -> None:
    code = Code.of(random)
    assert len(code.text) == 19
    assert Code.parse(code.text) == code
    assert Code.parse(" " + code.text.lower().replace("-", "") + " \n") == code
    assert Code.parse(code.text.replace("0", "o").replace("1", "l")) == code
    assert code.secret not in repr(code)


@pytest.mark.parametrize(
    "text", ["", "WXYZ", "WXYZ-EFGH-JKMN-PQR", "WXYZ-EFGH-JKMN-PQRSX", "WXYZ-EFGH-JKMN-PQRU", "WXYZ-EFGH-JKMN-PQR\x00"]
)
def test_what_is_no_code_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="no pairing code") as caught:
        Code.parse(text)
    assert not text or text not in str(caught.value)


def test_a_key_depends_on_all_of_the_code() -> None:
    assert len({KEY, pair_key(Code("ABCE", CODE.secret)), pair_key(Code("ABCD", "EFGH0123JKMP"))}) == 3


def test_a_proof_holds_for_one_key_one_certificate_and_one_message() -> None:
    proved = REQUEST.proved(KEY, SEEN)
    assert proved.holds(KEY, SEEN)
    assert not REQUEST.holds(KEY, SEEN)
    assert not proved.holds(bytes(32), SEEN)
    assert not proved.holds(KEY, "")
    assert not proved.holds(KEY, SEEN.replace("a", "c"))
    other = PairRequest("ABCD", bytes(16), "laptoq", proved.nonce, proved.proof)
    assert not other.holds(KEY, SEEN)
    assert not PairRequest("ABCD", b"\1" + bytes(15), "laptop", proved.nonce, proved.proof).holds(KEY, SEEN)


def test_an_answer_proves_the_worker_and_covers_the_token() -> None:
    request = REQUEST.proved(KEY, SEEN)
    answer = PairAnswer("token", "alice").proved(KEY, SEEN, request)
    assert answer.holds(KEY, SEEN, request)
    assert not answer.holds(KEY, "", request)
    assert not answer.holds(bytes(32), SEEN, request)
    assert not PairAnswer("token2", "alice", "", answer.proof).holds(KEY, SEEN, request)
    assert not PairAnswer("token", "bob", "", answer.proof).holds(KEY, SEEN, request)
    assert not PairAnswer("token", "alice", "", request.proof).holds(KEY, SEEN, request), "a device's proof is no worker's"
    assert "token" not in repr(answer)


def test_the_document_has_the_numbers_to_check_another_client_with() -> None:
    text = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
    code = Code.parse("ABCD-EFGH-0123-JKMN")
    key, binding = pair_key(code), "sha256:" + "ab" * 32
    request = PairRequest(code.id, bytes(16), "laptop", bytes(range(16))).proved(key, binding)
    answer = PairAnswer("gfd_token", "default").proved(key, binding, request)
    for each in (key, request.proof, answer.proof):
        assert each.hex() in text


def test_what_is_said_crosses_as_it_is() -> None:
    request = REQUEST.proved(KEY, "")
    assert PairRequest.decode(request.encode()) == request
    answer = PairAnswer("token", "alice").proved(KEY, "", request)
    assert PairAnswer.decode(answer.encode()) == answer
    assert PairAnswer.decode(PairAnswer(refused="no").encode()).refused == "no"


def body(**different: Any) -> bytes:
    whole = {"code": "ABCD", "device": bytes(16), "name": "x", "nonce": bytes(16), "proof": bytes(32), **different}
    return bytes(msgpack.packb(whole))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xc1",
        b"\x80",
        bytes(msgpack.packb([1])),
        bytes(5000),
        body() + b"\x00",
        body(code=7),
        body(name="x" * 201),
        body(name="line\nbreak"),
        body(name="\x1b[31mred"),
        body(device=bytes(15)),
        body(nonce="text"),
        body(proof=None),
        body(more=[[[]]]),
    ],
)
def test_what_a_stranger_says_is_refused_and_never_raises_anything_else(packet: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="pairing"):
        PairRequest.decode(packet)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(packet: bytes) -> None:
    for kind in (PairRequest, PairAnswer):
        try:
            kind.decode(packet)
        except RemoteProtocolError:
            continue
