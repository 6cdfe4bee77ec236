"""Run ids: order, shape, written forms."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from graphs.errors import UsageError
from graphs.journal import ids
from graphs.journal.ids import id_prefix_range, new_run_id, parse_run_id, run_id_short, run_id_text


def test_an_id_is_a_uuid_of_version_7_made_now() -> None:
    before = time.time_ns() // 1_000_000
    run = new_run_id()
    after = time.time_ns() // 1_000_000
    known = uuid.UUID(bytes=run)
    assert (len(run), known.version, known.variant) == (16, 7, uuid.RFC_4122)
    # Ids of other tests in the same millisecond may have pushed the number on by fractions of a millisecond, never by more.
    assert before <= int.from_bytes(run[:6], "big") <= after + 1


def test_ids_rise_within_a_process_in_all_threads() -> None:
    made: list[list[bytes]] = [[] for _ in range(4)]

    def make(into: list[bytes]) -> None:
        into.extend(new_run_id() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in made:
        assert each == sorted(each)
    assert len({run for each in made for run in each}) == 8_000


def test_ids_rise_when_the_clock_stands_still_or_goes_back() -> None:
    clock = iter([1_000, 1_000, 1_000, 400, 1_001])
    generate = ids._Generator(lambda: next(clock))
    made = [generate() for _ in range(5)]
    assert made == sorted(set(made))
    assert all(uuid.UUID(bytes=run).version == 7 for run in made)


def test_text_and_back() -> None:
    run = new_run_id()
    text = run_id_text(run)
    assert text == str(uuid.UUID(bytes=run))
    assert parse_run_id(text) == run
    assert parse_run_id(text.upper().replace("-", "") + "\n") == run
    assert text.startswith(run_id_short(run))
    assert len(run_id_short(run)) == 13


@pytest.mark.parametrize("text", ["", "news", "0190", "0190-", "z" * 32, "0" * 33, "01890a5dac96-774b-bcce-b302099a8057"])
def test_what_is_no_id_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is not a run id: it has 32 hexadecimal digits"):
        parse_run_id(text)


def test_a_prefix_covers_the_ids_that_begin_so() -> None:
    run = new_run_id()
    for length in range(1, 37):
        least, greatest = id_prefix_range(run_id_text(run)[:length])
        assert least <= run <= greatest
    least, greatest = id_prefix_range("0190a")
    assert least == bytes.fromhex("0190a" + "0" * 27)
    assert greatest == bytes.fromhex("0190a" + "f" * 27)


@pytest.mark.parametrize("text", ["", "-", "run", "0" * 33])
def test_what_no_id_begins_with_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not the beginning of a run id"):
        id_prefix_range(text)
