"""Bodies that repeat earlier ones of their run are kept short, and come back as they were."""

from __future__ import annotations

import os
import random

import msgpack
import pytest

from graphs.journal.body_repeats import Recent, Short, read_short, whole_of

SCOPE, RUN = "own", b"r" * 16
SEED = int(os.environ.get("REPEATS_SEED") or random.randrange(1 << 30))


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def grown(chance: random.Random, turns: int) -> list[bytes]:
    """Bodies as those of a chat: each has most of the one before, changed at its beginning, sometimes without a part, and more at its end."""
    text, found = chance.randbytes(20_000), []
    for turn in range(turns):
        text += chance.randbytes(chance.randrange(50, 3_000))
        if chance.random() < 0.2:
            text = text[chance.randrange(500) :]
        found.append(turn.to_bytes(3, "big") + text)
    return found


def kept(recent: Recent, bodies: list[bytes]) -> dict[bytes, bytes | Short]:
    """How a store would have them."""
    found: dict[bytes, bytes | Short] = {}
    for number, body in enumerate(bodies):
        file = recent.shorten(SCOPE, RUN, name(number), body)
        found[name(number)] = body if file is None else read_short(file)
    return found


def test_every_body_comes_back_and_a_chat_grows_by_what_is_new() -> None:
    print(f"REPEATS_SEED={SEED}")
    bodies = grown(random.Random(SEED), 200)
    recent = Recent()
    files = kept(recent, bodies)
    short = {key: file for key, file in files.items() if isinstance(file, Short)}
    assert len(short) > 190
    for number, body in enumerate(bodies):
        file = files[name(number)]
        assert (whole_of(file, files.get) if isinstance(file, Short) else file) == body
    own = sum(len(part) for file in short.values() for part in file.parts[::3])
    assert own < 2 * len(bodies[-1]) + 200 * 600


@pytest.mark.parametrize(("letters", "kind"), [(b"ab", 2), (bytes(range(256)), 1)])
def test_parts_are_squeezed_where_that_pays(letters: bytes, kind: int) -> None:
    recent, chance = Recent(), random.Random(7)
    first = bytes(chance.choices(letters, k=40_000))
    second = first + bytes(chance.choices(letters, k=3_000))
    assert recent.shorten(SCOPE, RUN, name(1), first) is None
    file = recent.shorten(SCOPE, RUN, name(2), second)
    assert file is not None
    assert msgpack.unpackb(file)[0] == kind
    assert (len(file) < 1_000) == (kind == 2)
    assert whole_of(read_short(file), {name(1): first}.get) == second


def test_another_run_is_nothing_to_go_by() -> None:
    recent = Recent()
    body = os.urandom(40_000)
    assert recent.shorten(SCOPE, RUN, name(1), body) is None
    assert recent.shorten(SCOPE, b"s" * 16, name(2), body) is None
    assert recent.shorten("another", RUN, name(3), body) is None
    assert recent.shorten(SCOPE, RUN, name(4), body) is not None


def test_small_bodies_and_those_that_no_memory_holds_are_kept_whole() -> None:
    recent = Recent()
    assert not recent.admits(1_000)
    assert recent.admits(100_000)
    assert not recent.admits(100 << 20)


def test_what_goes_back_too_far_is_kept_whole_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphs.journal.body_repeats._DEEPEST", 5)
    files = kept(Recent(), grown(random.Random(1), 40))
    depths = [file.depth if isinstance(file, Short) else 0 for file in files.values()]
    assert max(depths) == 5
    assert depths.count(0) in range(6, 9)


def test_what_is_read_is_no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    recent, body = Recent(), os.urandom(40_000)
    recent.shorten(SCOPE, RUN, name(1), body)
    recent.remember(SCOPE, name(1), body)
    assert recent.get(SCOPE, name(1)) == body
    assert recent.shorten(SCOPE, RUN, name(2), body) is None


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\xc1",
        msgpack.packb([1, 2]),
        msgpack.packb([2, 10, 1, name(1), msgpack.packb([b""])]),
        msgpack.packb([2, 10, 1, name(1), 7]),
        msgpack.packb([3, 10, 1, name(1), msgpack.packb([b""])]),
        msgpack.packb([1, 10, 1, 7, msgpack.packb([b""])]),
        msgpack.packb([1, 10, 1, name(1), msgpack.packb([b"", 0])]),
        msgpack.packb([1, 10, 1, name(1), b"\xc1"]),
    ],
    ids=repr,
)
def test_what_says_nothing_is_told(file: bytes) -> None:
    with pytest.raises(ValueError, match="its file cannot be read"):
        read_short(file)


def test_parts_that_do_not_fit_together_are_told() -> None:
    whole = os.urandom(100)
    assert whole_of(Short(60, 1, name(1), [b"x" * 10, 0, 50, b""]), lambda _: whole) == b"x" * 10 + whole[:50]
    assert whole_of(Short(60, 1, name(1), [b"x" * 10, 0, 50, b""]), lambda _: None) is None
    with pytest.raises(ValueError, match="of 100"):
        whole_of(Short(60, 1, name(1), [b"", 80, 60, b""]), lambda _: whole)
    with pytest.raises(ValueError, match="not 60"):
        whole_of(Short(60, 1, name(1), [b"short"]), lambda _: whole)
    loop = Short(10, 1, name(1), [b"", 0, 10, b""])
    with pytest.raises(ValueError, match="goes back to itself"):
        whole_of(loop, lambda _: loop)
