"""Names of people in texts, by what stands around them: titles, greetings, signatures, and given names that are common. Pure.

No model is asked, so this finds what is written the way names usually are, and misses the rest (docs/privacy.md says what). Everything is read once,
from left to right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["find_names", "find_parts", "words_of"]

_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_MOST_WORDS: Final = 4

_TITLES_TEXT: Final = """
mr mrs ms miss mx dr prof professor sir lady lord dame herr frau hr fr dipl mme mlle monsieur madame m don doña sr sra srta
señor señora sig signor signora dott dottoressa ing mag
"""
_TITLES: Final = frozenset(_TITLES_TEXT.split())
_GREETINGS_TEXT: Final = """
dear hi hello hey hallo liebe lieber guten cher chère chers estimado estimada querido querida ciao caro cara gentile beste
"""
_GREETINGS: Final = frozenset(_GREETINGS_TEXT.split())
_NOBODY_TEXT: Final = """
sir madam sirs all team everyone everybody colleagues colleague customer customers friend friends there world both damen
herren kollegen kolleginnen alle zusammen tag morgen abend hiring manager support sales service
"""
_NOBODY: Final = frozenset(_NOBODY_TEXT.split())
_INTRODUCED: Final = re.compile(
    r"(?:my name is|name's|i am|i'm|this is|called|named|signed by|signed|written by|ich heiße|ich bin|mein name ist|je m'appelle|je suis|"
    r"me llamo|soy|mi chiamo|sono|attn\.?|c/o|(?:from|to|cc|bcc|name|contact|patient|client|author|von|an):)[ \t]*$",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"(?:regards|sincerely|wishes|yours|cheers|thanks|thank you|love|grüße|grüßen|gruß|salutations|cordialement|saludos|saluti)[,!.]?\s*$",
    re.IGNORECASE,
)
_LOOK_BACK: Final = 40
_PARTICLES_TEXT: Final = """
von van der den de del della da di du la le dos das bin ibn al el ten ter zu zur
"""
_PARTICLES: Final = frozenset(_PARTICLES_TEXT.split())

_GIVEN_TEXT: Final = """
aaron abdul abigail adam adriana agnes ahmed aisha alan albert alejandro alessandro alex alexander alexandra alfred ali alice
alicia alison amanda amelia amir amy ana anders andrea andreas andrew angela anika anita ann anna anne annette anthony
antonio arthur astrid ayşe barbara beatrice ben benjamin bernard bernd bettina betty birgit bob boris brian brigitte bruno
camille carl carla carlos carmen carol caroline catherine cecilia charles charlotte chen chloe chris christian christina
christine christopher claire clara claude claudia clemens colin connor cornelia dana daniel daniela david deborah denise
dennis diana diego dieter dmitri dominik donald donna dorothy douglas edith edward eileen elena elias elisabeth elizabeth
ella ellen emily emma eric erik erika ernst esther ethan eugene eva evelyn fabian fatima felix fernando florian francesca
francesco francis francisco franz françois frederick frida friedrich gabriel gabriele gary georg george gerald gerhard gina
giovanni giulia gloria gordon greta gregory guido gustav hanna hannah hans harald harold harry hassan heather heidi heike
heinrich heinz helen helena helga henrik henry herbert hermann hiroshi holger hugo ian ibrahim ines ingrid irene iris isaac
isabel isabella ivan jacob jakob james jamie jan jana jane janet jason javier jean jeffrey jennifer jens jessica jesus jim
jin joachim joan joanna joe johann johanna johannes john jonas jonathan jorge josé josef joseph joshua juan judith julia
julian juliane julie jürgen justin kai karen karin karl karla katharina katherine kathleen kathryn katja keith kelly kenneth
kevin kim kirsten klaus konrad kristin kurt kyle lara larry lars laura lauren lea lena leo leon leonard leonardo liam lily
linda lisa li lorenzo louis louise luca lucas lucia lucy ludwig luis luisa lukas lydia magdalena manfred manuel marc marcel
marco marcus margaret maria mariam marie marina mario marion marlene marta martha martin martina mary mateo mathias matteo
matthew matthias maya megan mehmet mei melanie melissa michael michelle miguel mia mira mohamed mohammed monica monika moritz
muhammad nadia nadine nancy natalie natasha nathan nicholas nick nicola nicolas nicole niels nina noah nora norbert olaf oleg
olga oliver olivia omar oscar otto owen pablo pamela paola patricia patrick paul paula pauline pedro peter petra philip
philipp pierre priya rachel rafael rahul ralf ralph raymond rebecca regina renate richard rita robert roberto robin roger
roland ronald rosa rosemary roy rudolf ruth ryan sabine sally samantha samuel sandra sara sarah sebastian sergei sharon
shirley silke silvia simon simone sofia sonja sophia sophie stefan stefanie stephan stephanie stephen steve steven susan
susanne sven sylvia tanja tatiana teresa theodor theresa thomas tim timothy tina tobias tom tony torsten tracy ulrich ulrike
ursula uwe valentina vanessa vera veronica victor victoria viktor vincent vladimir volker walter wei werner wilhelm william
wolfgang xavier yan yasmin yuki yusuf yves zoe ada alan grace
"""
_GIVEN: Final = frozenset(_GIVEN_TEXT.split())
_ALSO_WORDS_TEXT: Final = """
art bill chase dean faith frank grace hope hunter jack joy june may april august mark max pat rich rose sue sunny will victor
iris lea leo chris christian jan kim robin roy
"""
_ALSO_WORDS: Final = frozenset(_ALSO_WORDS_TEXT.split())
"""Names that are other words as well: alone they count only where something says that somebody is meant."""


class _Word(NamedTuple):
    start: int
    end: int
    text: str

    @property
    def is_capitalised(self) -> bool:
        return self.text[0].isupper() and (len(self.text) == 1 or not self.text.isupper() or len(self.text) > 2)


def words_of(name: str) -> list[str]:
    """The words of a name."""
    return [match[0] for match in _WORD.finditer(name)]


def find_names(text: str) -> Iterator[tuple[int, int]]:
    """Where names of people stand, from left to right and without overlaps."""
    words = list(_words(text))
    at = 0
    while at < len(words):
        taken = _name_at(text, words, at)
        if taken:
            yield words[at].start, words[at + taken - 1].end
            at += taken
        else:
            at += 1


def find_parts(text: str, parts: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Where one of these words stands alone: the first or last name of somebody whose whole name is known."""
    for word in _words(text):
        if word.text in parts:
            yield word.start, word.end


def _words(text: str) -> Iterator[_Word]:
    for match in _WORD.finditer(text):
        word = match[0]
        if word[-2:] in ("'s", "\u2019s", "'S", "\u2019S"):
            word = word[:-2]
        if word:
            yield _Word(match.start(), match.start() + len(word), word)


def _name_at(text: str, words: list[_Word], at: int) -> int:
    """How many words from this one on are somebody's name; 0 if it begins none."""
    first = words[at]
    if not first.is_capitalised:
        return 0
    lower = first.text.lower()
    said = _is_introduced(text, words, at)
    if said and lower in (_NOBODY | _TITLES | _GREETINGS):
        return 0
    if lower in _TITLES and not said:
        return 0
    count = _run(text, words, at)
    is_given = lower in _GIVEN or lower.partition("-")[0] in _GIVEN
    if said or (is_given and (count > 1 or lower not in _ALSO_WORDS)):
        return count
    return 0


def _run(text: str, words: list[_Word], at: int) -> int:
    """How many capitalised words follow each other, with what stands between the parts of names."""
    count, last = 1, at
    while last + 1 < len(words) and last + 1 - at < _MOST_WORDS + 2 and count < _MOST_WORDS:
        after = last + 1
        while after < len(words) and words[after].text in _PARTICLES and _adjoins(text, words, after) and after - last <= 2:
            after += 1
        adjoin = all(_adjoins(text, words, each) for each in range(last + 1, min(after + 1, len(words))))
        if after >= len(words) or not adjoin or not words[after].is_capitalised or words[after].text.lower() in _TITLES:
            break
        last, count = after, count + 1
    return last + 1 - at


def _adjoins(text: str, words: list[_Word], at: int) -> bool:
    """Whether a word follows the one before it directly; an initial has a dot."""
    between = text[words[at - 1].end : words[at].start]
    return between in (" ", " ") or (between == ". " and len(words[at - 1].text) == 1)


def _is_introduced(text: str, words: list[_Word], at: int) -> bool:
    """Whether what stands before a word says that somebody's name follows."""
    first = words[at]
    before = text[max(0, first.start - _LOOK_BACK) : first.start]
    if at:
        word, between = words[at - 1].text.lower(), text[words[at - 1].end : first.start]
        if word in _TITLES and between in (" ", ". ", " ", ". ") and words[at - 1].is_capitalised:
            return True
        if word in _GREETINGS and between == " ":
            return True
    if _INTRODUCED.search(before):
        return True
    return "\n" in before[-3:] and _CLOSING.search(before) is not None
