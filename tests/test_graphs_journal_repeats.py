"""What records repeat of earlier ones is kept once, comes back byte for byte, and is never made up where it is gone."""

from __future__ import annotations

import random
import re
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from graphs.errors import JournalError
from graphs.journal import Journal, new_run_id
from graphs.journal.repeats import LEAST, Kept, Memory, Shortener, loosen, restore, shorten, squeezed
from graphs.records import Record, Result, encode
from graphs.values import Value

TURNS = 120
PEER = b"a worker"


def words(dice: random.Random, size: int) -> str:
    return "".join(dice.choice("abcdefghij klm nop") for _ in range(size))


def message(role: str, content: str) -> Value:
    return {"role": role, "content": content}


def chat(turns: int, *, seed: int = 3, size: int = 400, row: str = "") -> list[Record]:
    """The results of a node that holds a whole chat, turn by turn, and of one that only looks at it."""
    dice = random.Random(seed)
    messages: list[Value] = []
    records: list[Record] = []
    for turn in range(turns):
        messages = [*messages, message("user", words(dice, size)), message("assistant", words(dice, size))]
        value = {"text": messages[-1]["content"], "messages": messages}
        records.append(Result(f"{row}chat#{turn}", 1, 0, value, 1_700_000_000_000 + turn, {"model": "small"}, {"ms": turn}))
        records.append(Result(f"{row}look#{turn}", 1, 0, {"seen": turn}, 1_700_000_000_000 + turn, {}))
    return records


def grown(records: Sequence[Record]) -> int:
    """The bytes of what the last of them has grown to."""
    return max(len(encode(record).tail) for record in records)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", synchronous="normal") as journal:
        yield journal


def create(journal: Journal) -> bytes:
    run = new_run_id()
    journal.create_run(run, role="root", graph_hash=b"h" * 32, name="chat.yaml", started=1)
    return run


def keep(journal: Journal, run: bytes, records: Sequence[Record]) -> None:
    for record in records:
        journal.append(run, encode(record))
    journal.flush()


def kept_whole(journal: Journal, run: bytes) -> list[int]:
    return [entry.seq for entry, kept in journal.kept(run, journal.store_id) if kept.base is None]


def table(journal: Journal) -> list[tuple[int | None, int, bytes]]:
    """What lies there of each record: its base, its number, its bytes."""
    db = sqlite3.connect(journal.path)
    rows = db.execute("SELECT base, seq, tail FROM records ORDER BY id").fetchall()
    db.close()
    return rows


def read(journal: Journal, run: bytes, writer: bytes | None = None) -> list[Record]:
    return [logged.record for logged in journal.records(run, writer)]


# -- shortening


def test_what_is_repeated_is_taken_from_the_base() -> None:
    dice = random.Random(1)
    base = b"head" + dice.randbytes(5_000) + b"tail"
    data = b"another head" + base[4:-4] + dice.randbytes(300)
    parts = shorten(base, data)
    assert parts is not None
    assert len(parts) < 400
    assert restore(base, parts) == data


def test_nothing_is_saved_between_strangers() -> None:
    dice = random.Random(2)
    assert shorten(dice.randbytes(4_000), dice.randbytes(4_000)) is None
    assert shorten(b"", dice.randbytes(4_000)) is None
    assert shorten(dice.randbytes(4_000), b"") is None


_stuff = st.lists(st.sampled_from([b"x" * 700, b"ab" * 40, bytes(range(256)), random.Random(5).randbytes(900)]), max_size=9)


@given(_stuff, _stuff, st.binary(max_size=20), st.integers(0, 3))
def test_parts_give_the_very_bytes_again(base: list[bytes], data: list[bytes], own: bytes, place: int) -> None:
    data.insert(min(place, len(data)), own)
    whole, earlier = b"".join(data), b"".join(base)
    parts = shorten(earlier, whole)
    if parts is not None:
        assert len(parts) < len(whole)
        assert restore(earlier, parts) == whole


@given(st.binary(max_size=60), st.binary(max_size=200))
def test_parts_that_are_none_are_refused(parts: bytes, base: bytes) -> None:
    try:
        restored = restore(base, parts)
    except ValueError:
        return
    assert isinstance(restored, bytes)


@pytest.mark.parametrize("part", [[b"", -1, 5, b""], [b"", 0, 11, b""], [b"", 8, 5, b""], [b"", 0, 5], [], [1], 7, {"a": 1}])
def test_parts_that_want_more_than_there_is_are_refused(part: object) -> None:
    import msgpack

    with pytest.raises(ValueError, match=r".*"):
        restore(b"0123456789", msgpack.packb(part))


def test_memory_forgets_the_oldest() -> None:
    memory = Memory(most=100)
    memory.put("a", 1, bytes(40))
    memory.put("b", 2, bytes(40))
    memory.put("a", 3, bytes(41))
    memory.put("c", 4, bytes(40))
    assert memory.get("b") is None
    assert memory.get("a") == (3, bytes(41))
    memory.put("d", 5, bytes(500))
    assert (memory.get("c"), memory.get("d")) == (None, (5, bytes(500)))


def test_small_records_and_other_logs_are_no_bases() -> None:
    shortener = Shortener()
    small = encode(Result("a", 1, 0, {"text": "x" * (LEAST // 2)}, 1, {})).tail
    large = encode(Result("a", 1, 0, {"text": words(random.Random(1), 900)}, 1, {})).tail
    assert [shortener.keep("log", seq, small).base for seq in (1, 2)] == [None, None]
    assert [loosen(shortener.keep("log", seq, large)).base for seq in (3, 4)] == [None, 3]
    assert loosen(shortener.keep("other log", 1, large)).base is None


@pytest.mark.parametrize("base", [None, 1, 7_000_000_000])
def test_what_pays_is_squeezed_and_comes_back(base: int | None) -> None:
    dice = random.Random(5)
    text, noise = words(dice, 5_000).encode(), dice.randbytes(5_000)
    small = squeezed(Kept(text, base))
    assert len(small.data) < len(text) * 2 / 3
    assert small.base == -(base or 0)
    assert loosen(small) == Kept(text, base)
    for kept in (Kept(noise, base), Kept(text[: LEAST - 1], base), Kept(bytes(300_000), base)):
        assert squeezed(kept) is kept, "it does not pay"
        assert loosen(kept) is kept
    most = squeezed(Kept(bytes(256 << 10), base))
    assert loosen(most) == Kept(bytes(256 << 10), base)


def test_what_was_squeezed_and_is_damaged_is_no_data() -> None:
    whole = words(random.Random(5), 5_000).encode()
    data, base = squeezed(Kept(whole))
    bomb = zlib.compressobj(9, zlib.DEFLATED, -13)
    bombed = bomb.compress(bytes(10 << 20)) + bomb.flush()
    for damaged in (data[:-1], data + b"x", data[:100], b"", b"\xff" * 40, bombed):
        with pytest.raises(ValueError):  # noqa: PT011 - many ways to be no data
            loosen(Kept(damaged, base))


def test_a_journal_that_squeezed_nothing_is_read_as_well(journal: Journal) -> None:
    run = create(journal)
    records = [Result("a", 1, 0, {"text": words(random.Random(seed), 900)}, 1, {}) for seed in (1, 2)]
    keep(journal, run, records)
    assert [row[0] for row in table(journal)] == [0, 0]
    spoil(journal, "UPDATE records SET tail = ?, base = NULL WHERE seq = 2", encode(records[1]).tail)
    assert read(journal, run) == records
    assert [each.record for each in journal.records_of(run, Result.TYPE)] == records


# -- in a journal


def test_a_growing_chat_grows_linearly_and_comes_back(journal: Journal) -> None:
    run = create(journal)
    records = chat(TURNS)
    keep(journal, run, records)
    assert read(journal, run) == records
    whole = sum(len(encode(record).tail) for record in records)
    assert journal.sizes()[run] < 2 * grown(records) < whole / 20
    assert [entry.tail for entry in journal.entries(run, journal.store_id)] == [encode(record).tail for record in records]


def test_conversations_side_by_side_grow_linearly_too(journal: Journal) -> None:
    run = create(journal)
    rows = [chat(40, seed=row, row=f"rows[{row}]/") for row in range(5)]
    records = [record for turn in zip(*rows, strict=True) for record in turn]
    keep(journal, run, records)
    assert read(journal, run) == records
    assert journal.sizes()[run] < 2 * sum(grown(row) for row in rows)


def test_two_nodes_that_hold_the_same_chat(journal: Journal) -> None:
    run = create(journal)
    dice = random.Random(8)
    messages: list[Value] = []
    records: list[Record] = []
    for turn in range(60):
        for role in ("user", "assistant"):
            messages = [*messages, message(role, words(dice, 300))]
            records.append(Result(f"{role}#{turn}", 1, 0, {"messages": messages}, turn, {}))
    keep(journal, run, records)
    assert read(journal, run) == records
    assert journal.sizes()[run] < 2 * grown(records)


def test_lists_that_change_elsewhere_come_back(journal: Journal) -> None:
    run = create(journal)
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    items: list[Value] = [words(dice, 200) for _ in range(10)]
    records: list[Record] = []
    for turn in range(60):
        items = list(items)
        change = dice.randrange(3)
        if change == 0:
            items.pop(0)
        elif change == 1:
            items.insert(dice.randrange(len(items)), words(dice, 300))
        else:
            items.reverse()
        items.append(words(dice, dice.randrange(400)))
        records.append(Result(f"n#{turn}", 1, 0, items, turn, {}))
    keep(journal, run, records)
    assert read(journal, run) == records


def test_reading_begins_anywhere(journal: Journal) -> None:
    run = create(journal)
    records = chat(30)
    keep(journal, run, records)
    for after in range(0, len(records), 7):
        found = [entry.tail for entry in journal.entries(run, journal.store_id, after)]
        assert found == [encode(record).tail for record in records[after:]]


def test_each_record_durable_by_itself_is_kept_the_same_way(journal: Journal) -> None:
    run = create(journal)
    records = chat(30)
    for record in records:
        journal.write(run, encode(record))
    assert read(journal, run) == records
    assert journal.sizes()[run] < 3 * grown(records)


def test_a_copy_of_another_writers_log_is_kept_the_same_way(journal: Journal) -> None:
    run = create(journal)
    records = chat(30)
    for seq, record in enumerate(records, 1):
        journal.accept(run, PEER, seq, encode(record))
    journal.flush()
    assert read(journal, run, PEER) == records
    assert journal.sizes()[run] < 3 * grown(records)


def test_a_journal_that_was_opened_anew_begins_with_a_whole_one(tmp_path: Path) -> None:
    records = chat(40)
    with Journal.open(tmp_path / "journal.db") as journal:
        run = create(journal)
        keep(journal, run, records[:40])
    with Journal.open(tmp_path / "journal.db") as journal:
        keep(journal, run, records[40:])
        assert read(journal, run) == records
        assert [seq for seq in kept_whole(journal, run) if len(encode(records[seq - 1]).tail) > 2_000] == [41]


def test_a_run_that_is_removed_is_nobodys_base(journal: Journal) -> None:
    records = chat(10)
    run, other = create(journal), create(journal)
    keep(journal, run, records)
    keep(journal, other, records)
    journal.remove_run(run)
    journal.flush()
    assert read(journal, other) == records
    journal.create_run(run, role="root", graph_hash=b"h" * 32, name="chat.yaml", started=1)
    keep(journal, run, records[1:])
    assert read(journal, run) == records[1:]


# -- damage


def spoil(journal: Journal, statement: str, *values: object) -> None:
    db = sqlite3.connect(journal.path)
    with db:
        assert db.execute(statement, values).rowcount > 0
    db.close()


def test_a_base_that_is_gone_is_named_by_whoever_begins_behind_it(journal: Journal) -> None:
    run = create(journal)
    keep(journal, run, chat(10))
    spoil(journal, "DELETE FROM records WHERE seq = 7")
    with pytest.raises(JournalError, match=r"record 7 .* it is not there, but later ones are"):
        read(journal, run)
    gone = r"record 9 of writer \w+ in run .* it repeats a part of record 7, which is not there"
    with pytest.raises(JournalError, match=gone):
        list(journal.entries(run, journal.store_id, 8))
    with pytest.raises(JournalError, match=r"record 11 .* repeats a part of record 9, .*\(record 7 is not there\)"):
        list(journal.entries(run, journal.store_id, 10))


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE records SET base = 9 WHERE seq = 9", r"it repeats a part of record 9, .*\(record 9 would repeat record 9\)"),
        ("UPDATE records SET base = 13 WHERE seq = 9", r"it repeats a part of record 13, .*\(record 9 would repeat record 13\)"),
        ("UPDATE records SET base = 2 WHERE seq = 9", "it repeats a part of record 2"),
        ("UPDATE records SET base = NULL WHERE seq = 9", "its checksum does not hold"),
        ("UPDATE records SET tail = x'c1' WHERE seq = 9", "its bytes cannot be read"),
        ("UPDATE records SET tail = x'c1', base = 7 WHERE seq = 9", "it repeats a part of record 7"),
        ("UPDATE records SET tail = substr(tail, 1, length(tail) - 1) WHERE seq = 9", "its bytes cannot be read"),
        ("UPDATE records SET base = -13 WHERE seq = 9", r"it repeats a part of record 13, .*\(record 9 would repeat record 13\)"),
        ("UPDATE records SET base = 0 WHERE seq = 9", "its checksum does not hold"),
    ],
)
def test_parts_that_are_damaged_are_named(journal: Journal, statement: str, what: str) -> None:
    run = create(journal)
    records = chat(10)
    keep(journal, run, records)
    spoil(journal, statement)
    found = []
    with pytest.raises(JournalError) as raised:
        found += [entry.tail for entry in journal.entries(run, journal.store_id)]
    assert re.search(r"record 9 of writer .*: " + what, str(raised.value))
    assert all(tail == encode(record).tail for tail, record in zip(found, records, strict=False))


def test_no_flipped_bit_is_ever_returned_as_data(tmp_path: Path) -> None:
    records = chat(12, size=60)
    with Journal.open(tmp_path / "journal.db") as journal:
        run = create(journal)
        keep(journal, run, records)
        rows = [(seq, data) for _, seq, data in table(journal)]
        seed = random.randrange(2**32)
        print("seed", seed)
        dice, harmless = random.Random(seed), 0
        for _ in range(150):
            seq, data = dice.choice(rows)
            damaged = bytearray(data)
            damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            spoil(journal, "UPDATE records SET tail = ? WHERE seq = ?", bytes(damaged), seq)
            found: list[bytes] = []
            said = ""
            try:
                found.extend(entry.tail for entry in journal.entries(run, journal.store_id))
            except JournalError as error:
                said = str(error)
            harmless += not said  # the last bits of what is squeezed say nothing
            assert not said or f"record {seq} " in said
            assert found == [encode(record).tail for record in (records[: seq - 1] if said else records)]
            spoil(journal, "UPDATE records SET tail = ? WHERE seq = ?", data, seq)
        assert harmless < 15
        assert read(journal, run) == records
