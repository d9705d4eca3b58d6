"""Makes queries and passages that share words, with their shares: the training data of `rerank.py`.

Passages are sentences of Python's own documentation. Most of their words are replaced by words of a 21 000 word list
(the vocabulary of `models/minilm`) or by invented ones, so that a network cannot learn topics by heart and has to look
whether the words are there. A query takes words of a passage, inflects some, and is asked as a question or as bare
words. Its other passages are built to mislead: the same passage with the query's words exchanged, and foreign ones into
which some of them were put.
"""

# ruff: noqa: SIM905 - lists of words read best as texts
from __future__ import annotations

import json
import pydoc_data.topics
import random
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WORD = re.compile(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]")
VOCABULARY = Path(__file__).parents[1] / "minilm" / "tokenizer.json"
COMMON = frozenset(
    (
        "a about after all also am an and any are as at be been before being between both but by can could did do "
        "does doing done each either every few for from get gets give given goes had has have having he her here him "
        "his how i if in into is it its just like make may me might more most much must my no nor not of off on once "
        "one only or other our out over own same see she should since so some such take than that the their them then "
        "there these they this those through to too under until up us use used using very was we were what when where "
        "whether which while who whom whose why will with within without would you your"
    ).split()
)
OPENERS = (
    "what is the|what|how do i|how does the|how many|how is a|when does the|when are the|which|where is the|"
    "where are|who|why does the|why is|can i|is there a|tell me about the|what happens to the|do i need|"
    "should the|explain the|find|what should i do with|may we|how long is the|how often is the"
).split("|")
JOINERS = ("|||the|of the|in the|and|for a|to|on|with|a|from the|by").split("|")
ENDINGS = ("", "", "?", "?", ".")
SOFT = "bcdfghjklmnpqrstvwz"
VOWELS = "aeiou"
HELD_OUT = 8  # every eighth word and passage is never trained on
DOCUMENTS = 6


@dataclass(frozen=True, slots=True)
class Group:
    """A query, its documents, and of each the share of the query's words in it: 0 to 1, rare words counting more."""

    query: str
    documents: list[str]
    shares: list[float]


def is_held_out(text: str) -> bool:
    """Tell whether a word or passage is kept for the test, whatever the seed."""
    return zlib.crc32(text.encode()) % HELD_OUT == 0


def stem(word: str) -> str:
    """Cut English endings off, crudely but always alike: `stopped`, `stopping`, `stops` and `stop` are one."""
    word = word.lower()
    for ending in ("ing", "ers", "ed", "es", "er", "ly", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word


def inflect(word: str, rng: random.Random) -> str:
    """Return another form of an English word, or the same one when no rule fits."""
    if not word.isalpha() or len(word) < 4:
        return word
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) > len(ending) + 3:
            base = word[: -len(ending)]
            return base + rng.choice([other for other in ("", "s", "ed", "ing") if other != ending])
    if word.endswith("e"):
        return word[:-1] + rng.choice(["es", "ed", "ing"])
    if word.endswith("y"):
        return word[:-1] + rng.choice(["ies", "ied"])
    return word + rng.choice(["s", "s", "ed", "ing"])


def vocabulary() -> list[str]:
    """Return the word list, the most used words first."""
    words = json.loads(VOCABULARY.read_text())["model"]["vocab"]
    return [word for word in words if word.isascii() and word.isalpha() and len(word) > 2]


def sentences() -> list[list[str]]:
    """Return the sentences of Python's documentation as words and punctuation marks."""
    topics = pydoc_data.topics.topics
    prose = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics)))
    parts = re.split(r"(?<=[.:])\s+(?=[A-Z])", re.sub(r"[*`|+=_-]{2,}|[`*]", " ", prose))
    found = [WORD.findall(part) for part in parts]
    return [words for words in found if 5 <= len(words) <= 60 and sum(map(str.isalpha, words)) > 0.7 * len(words)]


class Maker:
    """Makes groups; `held_out` ones are of words and sentences that the others never show."""

    def __init__(self, *, held_out: bool, seed: int) -> None:
        words = vocabulary()
        self._weights = {stem(word): 0.3 + 0.7 * min(1, rank / 3000) for rank, word in reversed(list(enumerate(words)))}
        self._weights |= {stem(word): 0.0 for word in COMMON}
        self._words = [word for word in words if word not in COMMON and is_held_out(word) == held_out]
        self._sentences = [found for found in sentences() if is_held_out(" ".join(found)) == held_out]
        self._rng = random.Random(seed)

    def group(self, longest: int, *, documents: int = DOCUMENTS) -> Group:
        """Make a query with its documents, each of up to `longest` words, in random order."""
        rng = self._rng
        passage = self._passage(longest)
        terms = self._terms(passage)
        query = self._ask([inflect(term, rng) if rng.random() < 0.3 else term for term in terms])
        found = [passage]
        while len(found) < documents:
            found.append(self._rival(passage, terms, longest))
        rng.shuffle(found)
        return Group(query, [join(words) for words in found], [self.share(query, words) for words in found])

    def share(self, query: str, words: Iterable[str]) -> float:
        """Return how much of the query the words hold."""
        held = {stem(word) for word in words}
        wanted = {stem(word) for word in WORD.findall(query) if word.isalnum() and word.lower() not in COMMON}
        weights = {word: self._weights.get(word, 1.0) for word in wanted}
        return sum(weight for word, weight in weights.items() if word in held) / (sum(weights.values()) or 1)

    def _passage(self, longest: int) -> list[str]:
        rng = self._rng
        wanted = rng.randint(min(8, longest), longest)
        start = rng.randrange(len(self._sentences))
        words: list[str] = []
        while len(words) < wanted:
            words += self._sentences[start % len(self._sentences)]
            start += 1
        words = words[: max(wanted, 8)]
        share = rng.choice((0.4, 0.8, 1.0))
        renamed: dict[str, str] = {}
        for word in words:
            if word.isalpha() and word.lower() not in COMMON and word not in renamed:
                renamed[word] = self._word() if rng.random() < share else word
        return [renamed.get(word, word) for word in words]

    def _word(self) -> str:
        rng = self._rng
        kind = rng.random()
        if kind < 0.8:
            frequent = rng.random() < 0.4
            return self._words[rng.randrange(len(self._words) // (6 if frequent else 1))]
        if kind < 0.86:
            return str(rng.randint(2, 9999))
        odd = rng.randint(0, 1)
        return "".join(rng.choice(VOWELS if (i + odd) % 2 else SOFT) for i in range(rng.randint(3, 9)))

    def _terms(self, passage: list[str]) -> list[str]:
        rng = self._rng
        able = sorted({word for word in passage if word.isalnum() and len(word) > 1 and word.lower() not in COMMON})
        if not able:
            return [self._word()]
        count = min(len(able), rng.choices((1, 2, 3, 4, 5, 6), (10, 25, 30, 20, 10, 5))[0])
        terms = rng.sample(able, count)
        return terms if rng.random() < 0.7 else [*terms, self._word()]

    def _ask(self, terms: list[str]) -> str:
        rng = self._rng
        if rng.random() < 0.4:
            return " ".join(terms)
        parts = [rng.choice(OPENERS)]
        for term in terms:
            parts += [rng.choice(JOINERS), term]
        text = " ".join(part for part in parts if part) + rng.choice(ENDINGS)
        return text if rng.random() < 0.5 else text.capitalize()

    def _rival(self, passage: list[str], terms: list[str], longest: int) -> list[str]:
        rng = self._rng
        kind = rng.random()
        if kind < 0.45:  # the passage itself, some or all of the query's words exchanged
            kept = set(rng.sample(terms, rng.choice((0, 0, max(0, len(terms) - 1), rng.randint(0, len(terms))))))
            renamed = {term: self._word() for term in terms if term not in kept}
            return [renamed.get(word, word) for word in passage]
        words = self._passage(longest)
        if kind < 0.8:  # a foreign one, with some of the query's words put in
            for term in rng.sample(terms, rng.randint(0, len(terms))):
                form = inflect(term, rng) if rng.random() < 0.3 else term
                words.insert(rng.randint(0, len(words)), form)
        return words


def join(words: list[str]) -> str:
    """Write words and punctuation marks as text."""
    return re.sub(r" (?=[.,;:?!)])", "", " ".join(words))
