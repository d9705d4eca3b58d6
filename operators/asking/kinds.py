"""The kind of thing that a question asks for, and whether a sentence has one: a count of it, a time, a name."""

from __future__ import annotations

import re
from typing import Final

from fastembed.operators.asking.terms import COMMON, has_word, stem, words_of

_AMOUNT: Final = re.compile(
    r"\bhow (many|much|big|large|late|early)\b|\bwhat (percentage|share|number|amount)\b|\bwie viel|\bcombien\b",
    re.IGNORECASE,
)
_WRITTEN: Final = (
    "half|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy"
    "|eighty|ninety|hundred"
)
_DIGITS: Final = rf"(?:\d|{_WRITTEN})"
_MEASURES: Final = tuple(
    (re.compile(rf"\b(?:{asked})\b", re.IGNORECASE), re.compile(given, re.IGNORECASE))
    for asked, given in (
        (r"how heavy|weigh|weight", rf"{_DIGITS}.*\b(?:kg|g|kilo\w*|grams?|tonn?es?|tons?|pounds?|lbs?)\b"),
        (
            r"how far|distance",
            rf"{_DIGITS}.*(?:\b|\d)(?:[kcm]?m|(?:kilo|centi|milli)?met(?:er|re)s?|miles?|feet|foot|yards?|steps?)\b",
        ),
        (
            r"how (?:tall|high|deep|wide|thick)|height|length|depth|altitude|width",
            rf"{_DIGITS}.*(?:\b|\d)(?:[kcm]?m|(?:kilo|centi|milli)?met(?:er|re)s?|feet|foot|inch(?:es)?|stor(?:eys?|ies))\b",
        ),
        (r"how (?:bright|dark)", r"\b(?:lux|lumens?|candelas?|bright\w*|dim\w*|dark\w*)\b"),
        (r"how (?:loud|noisy|quiet)", r"\b(?:db|decibels?|loud\w*|nois\w+|quiet\w*|silent)\b"),
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
    r"\b(costs?|prices?|priced|fees?|fines?|fares?|pay|pays|paid|expensive|cheap|kostet|kosten|preis)\b", re.IGNORECASE
)
_MONEY: Final = re.compile(
    r"[€$£]|\b(free|euros?|pounds?|francs?|dollars?|cents?|pence|eur|usd|gbp|chf)\b"
    r"|\b(costs?|prices?|fees?|fares?|pays?|paid|rent|deposit|estimated|subscription|admission)\b.*\d"
    r"|\d.*\b(costs?|prices?|fees?|fares?|pays?|paid|rent|deposit)\b",
    re.IGNORECASE | re.DOTALL,
)
_CURRENCY: Final = re.compile(r"[€$£]\s?\d|\d\s?[€$£]|\b(euros?|pounds|francs?|dollars?|cents|pence)\b", re.IGNORECASE)
_PERSON: Final = re.compile(r"'s name\b|\bname of\b|\bwho(m|se)?\b|\bwer\b|\bqui\b", re.IGNORECASE)
_NUMBER: Final = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundred|thousand|million|once|twice|half|dozen|every|daily|weekly|never)\b",
    re.IGNORECASE,
)
_MOMENT: Final = re.compile(
    r"\d|\b(january|february|march|april|may|june|july|august|september|october|november|december|monday|tuesday"
    r"|wednesday|thursday|friday|saturday|sunday)s?\b|\b(spring|summer|autumn|winter|noon|midnight|morning|afternoon"
    r"|evening|night|before|after|daily|weekly|monthly|yearly|annually|today|tomorrow|yesterday|ago|ahead|o.clock)\b"
    r"|\b(seconds?|minutes?|hours?|days?|weeks?|months?|quarters?|years?|century)\b"
    rf"|\b(at|by|until|till|between|from|past|since|around|about) (half |quarter )?{_DIGITS}\b",
    re.IGNORECASE,
)
_MONTH: Final = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAY: Final = "Mon|Tues|Wednes|Thurs|Fri|Satur|Sun"
_NAME: Final = re.compile(
    rf"(?<![.!?:] )(?<!^)(?<!\bat )(?<!\bin )(?<!\bfrom )(?<!\bnear )(?!(?:{_MONTH}|(?:{_DAY})days?)\b)\b"
    r"[A-ZÀ-Þ][\w'’-]+|\b(we|they|he|she|staff|team|members?|director|manager|chair|committee|board|office|tenants?"
    r"|landlord|owner|customer|everybody|anyone|nobody|whoever|people|persons?)\b"
)
"""A capital inside a sentence that is no month and no place, or a word for people."""
_REASON: Final = re.compile(r"\bwhy\b|\bwarum\b|\bpourquoi\b|\bfor what reason\b", re.IGNORECASE)
_BECAUSE: Final = re.compile(
    r"\b(because|since|so that|as|due|reasons?|caus\w+|therefore|otherwise|in order|owing|thanks to|weil|denn"
    r"|damit|car)\b",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(r"\bwhere\b|\bwo\b|\boù\b|\bwohin\b", re.IGNORECASE)
_AT: Final = re.compile(
    r"\b(in|at|on|to|from|near|behind|below|above|under|over|beside|between|inside|outside|opposite|by|next|left|right|here|there|bei"
    r"|hinter|unter|über|neben|aus|im|am|dans|sur|chez)\b|@",
    re.IGNORECASE,
)
_COUNTED: Final = re.compile(r"\bhow many\b|\bwie viele\b|\bcombien d[e']", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(
    r"\b(?:how (?:many|much)|which|what (?:kind|sort|type|colou?r|number|share|percentage) of|what"
    r"|wie viele?|welche[rsn]?|quel(?:le)?s?)\s+(?:(?:is|are|was|were|will be)\s+(?:the|an?|its|their|our|your)\s+)?",
    re.IGNORECASE,
)
_YES_OR_NO: Final = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|can|could|may|might|must|shall|should|will|would|has|have|had|am|ist|sind|war|hat"
    r"|haben|darf|kann|muss|est-ce)\b",
    re.IGNORECASE,
)
_UNIT: Final = re.compile(
    r"(?:second|minute|hour|day|week|month|year|percent|euro|pound|dollar|franc|cent|(?:kilo|milli|centi)?(?:gram|met(?:re|er)"
    r"|watt|litre|liter)|degree|mile|kg|g|mg|km|m|cm|mm|kwh?|w|eur|usd|pm|am|oclock|noon)s?"
)
_PREDICATE: Final = re.compile(r"\b(?:who|when|wer|wann|qui|quand)\b", re.IGNORECASE)
_MOST_WORDS: Final = 3
_NEAR: Final = 2
_ONE_NUMBER: Final = re.compile(rf"\d.*|(?:{_WRITTEN}|thousand|million|dozen)")


_PAIRS: Final = (
    (_CONTACT, _REACHED_BY),
    (_PERSON, _NAME),
    (_TIME, _MOMENT),
    (_AMOUNT, _NUMBER),
    (_PRICE, _MONEY),
    (_PLACE, _AT),
)


def asked_words(question: str) -> list[str]:
    """Return the words that name what is asked for: `passengers` of "how many passengers fit"; []: nothing is named.

    Of who and when it is what was done: `painted` of "who painted it", `built` of "when was it built".
    """
    named: list[str] = []
    if found := _ATTRIBUTE.search(question):
        for word in words_of(question[found.end() :]):
            if word in COMMON or len(named) == _MOST_WORDS:
                break
            named += [word] if len(word) > 1 else []
    elif found := _PREDICATE.search(question):
        rest = [word for word in words_of(question[found.end() :]) if word not in COMMON and len(word) > 1]
        named = rest[:1] if found.group().lower() in {"who", "wer", "qui"} else rest[-1:]
    return named


def is_count(question: str) -> bool:
    """Whether a question asks how many there are of something."""
    return _COUNTED.search(question) is not None


def counted_words(text: str) -> list[str]:
    """Return the words that stand at the numbers of a text: what it counts."""
    words = words_of(text)
    near: list[str] = []
    for place, word in enumerate(words):
        if _ONE_NUMBER.fullmatch(word):
            after = words[place + 1 : place + 1 + _NEAR]
            near += after or words[max(0, place - 1) : place]
    return [word for word in dict.fromkeys(near) if word not in COMMON and len(word) > 1]


def fits(question: str, sentence: str) -> bool | None:
    """Whether a sentence has what such a question asks for: a number, a time, a name. None: nothing of the kind."""
    if _YES_OR_NO.search(question):
        return None
    if is_count(question):
        return _counts(question, sentence)
    for asked, given in _MEASURES:
        if asked.search(question):
            return given.search(sentence) is not None
    if _REASON.search(question):
        return True if _BECAUSE.search(sentence) else None  # a cause is often told without such a word
    for asked, given in _PAIRS:
        if asked.search(question):
            return given.search(sentence) is not None
    return None


def _counts(question: str, sentence: str) -> bool | None:
    """Whether what is asked for is counted; None: something else than a unit is, which may be another word for it."""
    counted = counted_words(sentence)
    if any(has_word(word, map(stem, counted)) for word in asked_words(question)[:1]):
        return True
    return None if any(_UNIT.fullmatch(word) is None for word in counted) else False


def is_met(word: str, text: str) -> bool:
    """Whether a text says what a word asks for without the word: a price, a weight, a length, a time."""
    if _PRICE.fullmatch(word):
        return _CURRENCY.search(text) is not None
    asked = f"how {word}"
    return any(
        (found.fullmatch(asked) or found.fullmatch(word)) is not None and given.search(text) is not None
        for found, given in _MEASURES
    )
