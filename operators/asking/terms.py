"""The words of a question that say what it asks for, and whether a text has them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:[.,:][^\W_]+)*")
_LEAST_STEM: Final = 4
_COMMON_PREFIX: Final = 5
_SUFFIXES: Final = ("ingly", "ations", "ation", "ments", "ment", "ings", "ing", "edly", "ies", "ers", "er", "ed", "es")
_MORE_SUFFIXES: Final = ("ly", "en", "s", "e", "n")
COMMON: Final = frozenset(
    """a about after all also am an and any are as at be been before being between both but by can could did do does
    doing done during each every for from further get give given had has have having he her here him his how i if in
    into is it its itself just kind let many me more most much must my name named no nor not of off often on one only
    or other our out over own per please say says same shall she should so some such tell than that the their them
    then there these they this those through to too under until up upon us was we were what when where which while
    who whom whose why will with would you your far big large small happen happens
    happened happening mean means meant going go goes went gone take takes taking took taken right kind sort type
    called exactly usually currently now still
    der die das und oder in im ist sind war was wer wie wo wann warum welche welcher welches ein eine einen einem von
    mit für auf zu zum zur den dem des es er sie wird werden hat haben nicht als an bei aus nach viel viele
    le la les un une des du de et ou est sont qui que quoi quel quelle quels quelles où quand comment pourquoi combien
    dans sur pour par avec au aux""".split()  # noqa: SIM905 - a list of words
)
_AMOUNT: Final = re.compile(
    r"\bhow (many|much|big|large|late|early)\b|\bwhat (percentage|share|number|amount)\b|\bwie viel|\bcombien\b",
    re.IGNORECASE,
)
_DIGITS: Final = (
    r"(?:\d|half|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty"
    r"|hundred)"
)
_MEASURES: Final = tuple(
    (re.compile(rf"\b(?:{asked})\b", re.IGNORECASE), re.compile(given, re.IGNORECASE))
    for asked, given in (
        (r"how heavy|weigh|weight", rf"{_DIGITS}.*\b(?:kg|g|kilo\w*|grams?|tonn?es?|tons?|pounds?|lbs?)\b"),
        (
            r"how (?:tall|high|deep|far|wide|thick)|height|length|depth|altitude|width",
            rf"{_DIGITS}.*(?:\b|\d)(?:[kcm]?m|(?:kilo|centi|milli)?met(?:er|re)s?|miles?|feet|foot|inch(?:es)?|steps?)\b",
        ),
        (
            r"how long|how quickly|how soon|duration",
            (
                rf"{_DIGITS}.*\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|noon|h|min)\b"
                r"|\buntil\b|\d.*\bto\b.*\d|\bmet(?:er|re)s?\b"
            ),
        ),
        (r"how old|age", rf"{_DIGITS}.*\b(?:years?|months?|century)\b|\b1\d{{3}}\b|\b20\d\d\b|\bage\b"),
        (r"how (?:hot|cold|warm)|temperatures?", rf"\bminus\b|{_DIGITS}.*(?:°|degrees?)|degrees?.*{_DIGITS}"),
        (
            r"how often|how frequently",
            r"\b(?:every|each|daily|weekly|monthly|yearly|annual\w*|once|twice|times|per|a)\b",
        ),
        (
            r"which colou?r|what colou?r",
            r"\b(?:red|blue|green|white|black|yellow|orange|brown|grey|gray|pink|purple)\b",
        ),
    )
)
_TIME: Final = re.compile(
    r"\bwhen\b|\b(what|which) (year|date|day|month|time|hour)\b|\bwann\b|\bquand\b", re.IGNORECASE
)
_CONTACT: Final = re.compile(
    r"\b(tele)?phone number\b|\be-?mail\b|\bphone\b|\bwebsite\b|\btelefonnummer\b|\bhotline\b", re.IGNORECASE
)
_REACHED_BY: Final = re.compile(r"\d[\d /()-]{4,}\d|@|\bwww\.|https?:", re.IGNORECASE)
_PRICE: Final = re.compile(
    r"\b(costs?|prices?|priced|fees?|fares?|pay|pays|paid|expensive|cheap|kostet|kosten|preis)\b", re.IGNORECASE
)
_MONEY: Final = re.compile(
    r"[€$£]|\b(free|euros?|pounds?|francs?|dollars?|cents?|pence|eur|usd|gbp|chf)\b"
    r"|\b(costs?|prices?|fees?|fares?|pays?|paid|rent|deposit|estimated|subscription|admission)\b.*\d"
    r"|\d.*\b(costs?|prices?|fees?|fares?|pays?|paid|rent|deposit)\b",
    re.IGNORECASE | re.DOTALL,
)
_CURRENCY: Final = re.compile(r"[€$£]\s?\d|\d\s?[€$£]|\b(euros?|pounds|francs?|dollars?|cents|pence)\b", re.IGNORECASE)
_PERSON: Final = re.compile(r"\bwho(m|se)?\b|\bwer\b|\bqui\b", re.IGNORECASE)
_NUMBER: Final = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundred|thousand|million|once|twice|half|dozen|every|daily|weekly|never)\b",
    re.IGNORECASE,
)
_MOMENT: Final = re.compile(
    r"\d|\b(january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday"
    r"|wednesday|thursday|friday|saturday|sunday|spring|summer|autumn|winter|noon|midnight|morning|evening|before|after)\b",
    re.IGNORECASE,
)
_MONTH: Final = "January|February|March|April|May|June|July|August|September|October|November|December"
_NAME: Final = re.compile(
    rf"(?<![.!?] )(?<!^)\b(?!(?:{_MONTH})\b)[A-ZÀ-Þ][\w'’-]+|\b(we|they|he|she|staff|team|member|director|manager)\b"
)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents; numbers as they are written."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return _WORD.findall(plain)


def content_words(text: str) -> list[str]:
    """Return the words that say something, each once."""
    found = [word for word in dict.fromkeys(words_of(text)) if word not in COMMON and (len(word) > 1 or word.isdigit())]
    return found or list(dict.fromkeys(words_of(text)))


def stem(word: str) -> str:
    """Return what the forms of a word have in common, roughly: English suffixes are cut off."""
    if any(letter.isdigit() for letter in word):
        return word.strip(".,:")
    for suffixes in (_SUFFIXES, _MORE_SUFFIXES):
        for suffix in suffixes:
            if word.endswith(suffix) and len(word) - len(suffix) >= _LEAST_STEM - 1:
                return word[: -len(suffix)]
    return word


def same(one: str, other: str) -> bool:
    """Whether two stems are of one word, or of words of one family (`calibrat`, `calibre`)."""
    if one == other:
        return True
    if one[:1].isdigit() or other[:1].isdigit():
        return False
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= _COMMON_PREFIX and longer.startswith(shorter[: max(_COMMON_PREFIX, len(shorter) - 1)])


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words."""
    return frozenset(stem(word) for word in words_of(text))


def has_word(word: str, found: Iterable[str]) -> bool:
    """Whether one of the stems is of this word."""
    wanted = stem(word)
    return any(same(wanted, other) for other in found)


def coverage(words: Iterable[str], weights: Mapping[str, float], found: frozenset[str]) -> float:
    """Return which share of the words, by weight, is among the stems."""
    listed = list(words)
    total = sum(weights.get(word, 1.0) for word in listed)
    return sum(weights.get(word, 1.0) for word in listed if has_word(word, found)) / total if total else 0.0


def fits(question: str, sentence: str) -> bool | None:
    """Whether a sentence has what such a question asks for: a number, a time, a name. None: nothing of the kind."""
    for asked, given in _MEASURES:
        if asked.search(question):
            return given.search(sentence) is not None
    pairs = ((_CONTACT, _REACHED_BY), (_PERSON, _NAME), (_TIME, _MOMENT), (_AMOUNT, _NUMBER), (_PRICE, _MONEY))
    for asked, given in pairs:
        if asked.search(question):
            return given.search(sentence) is not None
    return None


def is_met(word: str, text: str) -> bool:
    """Whether a text says what a word asks for without the word: a price, a weight, a length, a time."""
    if _PRICE.fullmatch(word):
        return _CURRENCY.search(text) is not None
    asked = f"how {word}"
    return any(found.fullmatch(asked) is not None and given.search(text) is not None for found, given in _MEASURES)


def numbers(text: str) -> frozenset[str]:
    """Return the numbers of a text as they are written."""
    return frozenset(word.strip(".,:") for word in words_of(text) if any(letter.isdigit() for letter in word))
