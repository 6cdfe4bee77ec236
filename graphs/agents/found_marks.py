"""Addresses and numbers in texts that lead to a person: e-mail, telephone, bank accounts, cards, IP addresses, URLs. Pure.

What has a checksum is only found where that holds. Every search takes time that grows with the text and not with its square.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

__all__ = ["FINDERS", "Finder"]

Finder: TypeAlias = Callable[[str], Iterator[tuple[int, int]]]
"""Where something stands in a text, from left to right."""

_URL: Final = re.compile(r"(?<![\w])(?:https?://|ftp://|www\.)[^\s<>\"'`\])}]{1,2048}", re.IGNORECASE)
_TAIL: Final = ".,;:!?…"


def _urls(text: str) -> Iterator[tuple[int, int]]:
    for match in _URL.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(_TAIL))


_LOCAL: Final = frozenset("._%+-'")
_LONGEST_LOCAL, _LONGEST_DOMAIN = 64, 255
_DOMAIN: Final = re.compile(r"[^\W_]+(?:[.-][^\W_]+)*")


def _emails(text: str) -> Iterator[tuple[int, int]]:
    """Around each @, for a pattern that begins with any number of letters would look at a long word again from each of its letters."""
    at = text.find("@")
    while at >= 0:
        start = at
        while start > 0 and at - start < _LONGEST_LOCAL and (text[start - 1].isalnum() or text[start - 1] in _LOCAL):
            start -= 1
        while start < at and text[start] in _LOCAL:
            start += 1
        domain = _DOMAIN.match(text, at + 1, at + 1 + _LONGEST_DOMAIN)
        if start < at and domain is not None and "." in domain[0] and domain[0].rpartition(".")[2].isalpha():
            yield start, domain.end()
        at = text.find("@", at + 1)


_IBAN_COUNTRIES: Final = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22
GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19
MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22
VG24 XK20
"""
_IBAN_LENGTHS: Final[Mapping[str, int]] = {pair[:2]: int(pair[2:]) for pair in _IBAN_COUNTRIES.split()}
_IBAN: Final = re.compile(r"(?<![^\W_])([A-Za-z]{2})\d{2}")


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match[1].upper())
        end, found = match.start(), ""
        while length is not None and end < len(text) and len(found) < length:
            if text[end].isascii() and text[end].isalnum():
                found += text[end].upper()
            elif text[end] not in " -" or text[end - 1] in " -":
                break
            end += 1
        if len(found) == length and not text[end : end + 1].isalnum() and _sums_up(found):
            yield match.start(), end


def _sums_up(iban: str) -> bool:
    return int("".join(str(int(each, 36)) for each in iban[4:] + iban[:4])) % 97 == 1


_CARD: Final = re.compile(r"(?<!\d)(?<!\d[ -])\d(?:[ -]?\d){12,18}")
_CARD_DIGITS: Final = range(19, 12, -1)


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        places = [place for place in range(match.start(), match.end()) if text[place].isdigit()]
        for count in _CARD_DIGITS:
            if count > len(places) or text[places[count - 1] + 1 : places[count - 1] + 2].isdigit():
                continue
            if _luhn([int(text[place]) for place in places[:count]]):
                yield match.start(), places[count - 1] + 1
                break


def _luhn(digits: list[int]) -> bool:
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 and any(digits)


_IPV4: Final = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d)(?!\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}(?![\w:])")


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            found = match[0]
            if pattern is _IPV4 or (found.count(":") > 1 and any(each != ":" for each in found)):
                try:
                    ipaddress.ip_address(found)
                except ValueError:
                    continue
                yield match.start(), match.end()


_PHONE: Final = re.compile(r"(?<![\w+./-])(?:\+|00)?[(]?\d[\d ()./-]{5,22}\d(?![\w-])")
_AMERICAN: Final = re.compile(r"(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}")
_DATE: Final = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?!\d)")
_FEWEST, _MOST = 7, 15


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        found = match[0]
        digits = sum(map(str.isdigit, found))
        if not _FEWEST <= digits <= _MOST or _DATE.match(found) or re.fullmatch(r"\d+\.\d+", found):
            continue
        written_out = found[0] == "+" or found.startswith("00")
        national = found.lstrip("(")[0] == "0" and (not found.isdigit() or digits > 8)
        if written_out or national or _AMERICAN.fullmatch(found):
            yield match.start(), match.end()


FINDERS: Final[Mapping[str, Finder]] = {
    "URL": _urls,
    "EMAIL": _emails,
    "IBAN": _ibans,
    "CARD": _cards,
    "IP": _addresses,
    "PHONE": _phones,
}
"""What is looked for by what kind, in the order in which one wins over another that overlaps it."""
