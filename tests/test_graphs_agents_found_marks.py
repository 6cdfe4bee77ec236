"""Addresses and numbers in texts."""

from __future__ import annotations

import pytest

from graphs.agents.found_marks import FINDERS


def found(kind: str, text: str) -> list[str]:
    return [text[start:end] for start, end in FINDERS[kind](text)]


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("EMAIL", "to a.b+c@example.co.uk, <x@y.org>.", ["a.b+c@example.co.uk", "x@y.org"]),
        ("EMAIL", "müller@bücher.de", ["müller@bücher.de"]),
        ("EMAIL", "@maria, a@b, x@1.2, @@", []),
        ("URL", "see https://example.org/a?b=1, or (www.example.org).", ["https://example.org/a?b=1", "www.example.org"]),
        (
            "IBAN",
            "DE89 3704 0044 0532 0130 00 is it; gb82WEST12345698765432",
            ["DE89 3704 0044 0532 0130 00", "gb82WEST12345698765432"],
        ),
        ("IBAN", "DE89 3704 0044 0532 0130 01 has a wrong sum, AB12 is none", []),
        ("CARD", "4111 1111 1111 1111 12/26, 4111111111111111", ["4111 1111 1111 1111", "4111111111111111"]),
        ("CARD", "4111 1111 1111 1112, 0000000000000000, 12345678901234567890", []),
        ("IP", "192.168.1.20, ::1 and fe80::1%eth0", ["192.168.1.20", "::1", "fe80::1"]),
        ("IP", "1.2.3.4.5, 999.1.1.1, 12:30:45, std::vector", []),
        ("PHONE", "+49 30 1234567, (030) 123 45 67, 202-555-0143", ["+49 30 1234567", "(030) 123 45 67", "202-555-0143"]),
        ("PHONE", "2026-11-22, 01.02.2026, 0.123456789, order 123456789, 10:30", []),
    ],
)
def test_what_leads_to_somebody_is_found_and_what_looks_like_it_is_not(kind: str, text: str, wanted: list[str]) -> None:
    assert found(kind, text) == wanted


@pytest.mark.parametrize("kind", FINDERS)
@pytest.mark.parametrize(
    "text", ["a" * 200_000, "1" * 200_000, "1 " * 100_000, ":" * 200_000, "@" * 50_000, "a@" * 50_000, "DE89" * 50_000]
)
def test_texts_made_to_be_slow_are_read_in_time(kind: str, text: str) -> None:
    """No figure is asserted: with a search whose time grows with the square this would outlast the test's time limit."""
    assert len(list(FINDERS[kind](text))) < len(text)
