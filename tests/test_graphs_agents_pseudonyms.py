"""Pseudonyms are stable, readable, and lead back letter for letter."""

from __future__ import annotations

import random
from typing import Any

import pytest

from graphs.agents.pseudonyms import Pseudonyms, restore

LETTER = """\
Dear Ada,

Dr. Grace Hopper (grace.hopper@navy.mil, +1 202-555-0143) met Charles Babbage in Berlin on 2026-11-22 at 10:30.
Charles says that Ada Lovelace's account is DE89 3704 0044 0532 0130 00. Her server is 192.168.1.20, see https://example.org/a?b=1.
The Federal Reserve raised rates; order 123456789.

Best regards,
Jonas Müller
"""


def hidden(value: Any, **options: Any) -> tuple[Any, dict[str, str]]:
    names = Pseudonyms(**options)
    (found,) = names.hide(value)
    return found, names.table


def test_what_leads_to_a_person_is_hidden_and_the_rest_stays() -> None:
    text, table = hidden(LETTER)
    for gone in ("Ada", "Hopper", "Babbage", "Charles", "navy", "555", "DE89", "192.168", "example.org", "Jonas", "Müller"):
        assert gone not in text
    for kept in ("Berlin", "2026-11-22", "10:30", "Federal Reserve", "123456789", "Best regards"):
        assert kept in text
    assert table["EMAIL_1"] == "grace.hopper@navy.mil"
    assert restore(text, table) == LETTER


def test_the_same_is_called_the_same_and_parts_of_a_name_after_it() -> None:
    text, table = hidden("Ada Lovelace and Ada's friend, Mrs. Lovelace, and Ada Lovelace again")
    assert text == "PERSON_1 and PERSON_1_FIRST's friend, Mrs. PERSON_1_LAST, and PERSON_1 again"
    assert table == {"PERSON_1": "Ada Lovelace", "PERSON_1_FIRST": "Ada", "PERSON_1_LAST": "Lovelace"}


def test_a_later_text_goes_on_with_the_table_of_an_earlier_one() -> None:
    first, table = hidden("Write to a@example.org")
    second, more = hidden("a@example.org answered b@example.org", table=table)
    assert (first, second) == ("Write to EMAIL_1", "EMAIL_1 answered EMAIL_2")
    assert more == {"EMAIL_1": "a@example.org", "EMAIL_2": "b@example.org"}


def test_messages_and_data_are_looked_through_keys_included() -> None:
    value = {"a@example.org": [{"role": "user", "content": [{"type": "text", "text": "ask b@example.org"}]}, 3, None, True]}
    found, table = hidden(value)
    assert found == {"EMAIL_1": [{"role": "user", "content": [{"type": "text", "text": "ask EMAIL_2"}]}, 3, None, True]}
    assert restore(found, table) == value


def test_words_of_ones_own_are_hidden_whole_and_in_any_case() -> None:
    text, table = hidden("Bluebird, BLUEBIRD and bluebirds; blue bird.", words={"PROJECT": ["bluebird", "blue bird"]})
    assert text == "PROJECT_1, PROJECT_2 and bluebirds; PROJECT_3."
    assert restore(text, table) == "Bluebird, BLUEBIRD and bluebirds; blue bird."


def test_only_the_kinds_that_are_asked_for_are_looked_for() -> None:
    assert hidden("Ada Lovelace, a@example.org", kinds=["EMAIL"])[0] == "Ada Lovelace, EMAIL_1"


def test_what_looks_like_a_pseudonym_already_keeps_its_meaning() -> None:
    text, table = hidden("PERSON_1 and person_7 stand there; Ada Lovelace does, too")
    assert text == "PERSON_1 and person_7 stand there; PERSON_8 does, too"
    assert restore(text, table) == "PERSON_1 and person_7 stand there; Ada Lovelace does, too"


TABLE = {"PERSON_1": "Ada Lovelace", "PERSON_1_FIRST": "Ada", "PERSON_1_LAST": "Lovelace", "EMAIL_2": "a@example.org"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("person_1's", "Ada Lovelace's"),
        ("Person_1", "Ada Lovelace"),
        ("**PERSON_1**", "**Ada Lovelace**"),
        ("PERSON\\_1", "Ada Lovelace"),
        ("PERSON 1 and PERSON-1", "Ada Lovelace and Ada Lovelace"),
        ("person 1 of 3", "person 1 of 3"),
        ("PERSON_1s", "Ada Lovelaces"),
        ("Person_1_first, PERSON\\_1\\_LAST", "Ada, Lovelace"),
        ("PERSON_1_notes", "Ada Lovelace_notes"),
        ("PERSON_12 PERSON_2 XPERSON_1", "PERSON_12 PERSON_2 XPERSON_1"),
        ("<email_2>", "<a@example.org>"),
        ("EMAIL_2.", "a@example.org."),
    ],
)
def test_pseudonyms_as_models_write_them_lead_back(written: str, meant: str) -> None:
    assert restore(written, TABLE) == meant


def test_pictures_are_not_looked_into() -> None:
    data = "data:image/png;base64,Ada+Lovelace/a@example.org"
    assert hidden([data])[0] == [data]


def test_a_value_too_deep_to_be_looked_through_is_refused_not_passed() -> None:
    deep: Any = "a@example.org"
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ValueError, match="deeper"):
        hidden(deep)


def test_random_texts_come_back_as_they_were() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    pieces = [
        "Ada Lovelace", "Ada", "Lovelace", "Dr. Ada Byron", "ada@example.org", "EMAIL_1", "PERSON_3", "person_2_first", "+49 30 1234567", " ", "\n",
        ", ", "'s", "_", "\\_", "1", "IP_1", "10.0.0.1", "Bluebird", "BLUEBIRD", "Regards,\n", "Dear ", "https://a.example/x", "ß", "İ", "WORD-1",
    ]  # fmt: skip
    for _ in range(3000):
        text = "".join(chance.choice(pieces) for _ in range(chance.randrange(20)))
        found, table = hidden({"t": text, text: [text]}, words={"WORD": ["bluebird"]})
        assert restore(found, table) == {"t": text, text: [text]}, (seed, text)
