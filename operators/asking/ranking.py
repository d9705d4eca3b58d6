"""Orders passages and their sentences by how well they answer a question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.operators.asking.confidence import baseline, scaled
from fastembed.operators.asking.kinds import asked_words, counted_words, fits, is_count, is_met
from fastembed.operators.asking.terms import content_words, coverage, has_word, stem, stems
from fastembed.operators.asking.units import units
from fastembed.pipeline.payload.asking import Evidence, Passage

MAX_SENTENCES: Final = 96
MAX_WORDS: Final = 120
_LITERAL: Final = 0.5
_FIT: Final = 0.12
_FRAGMENT: Final = 0.2
"""What a title or a label loses against a sentence: it names what is asked for, and says nothing of it."""
_ENDS: Final = re.compile(r"[.!?…。！？:;][\"'”’»)\]]*$|[:;] ")
_SENTENCE: Final = 0.6
_TOPIC: Final = 0.25
_RRF: Final = 0.15


@dataclass(frozen=True, slots=True)
class Scale:
    """What unrelated sentences, and words, have with each other by one embedding model."""

    sentences: float = 0.0
    words: float = 0.0

    @classmethod
    def of(cls, sentences: NDArray[np.float32], words: NDArray[np.float32]) -> Scale:
        """Measure it. Both float32 [n, dimensions] of unit length."""
        return cls(baseline(sentences), baseline(words))


@dataclass(slots=True)
class Candidates:
    """The sentences of passages. places: of their passages. contexts: what is embedded, the headings before them."""

    texts: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, passages: Sequence[Passage]) -> Candidates:
        """Cut the passages, the best first, until there are `MAX_SENTENCES`."""
        found = cls()
        for place, passage in enumerate(passages):
            for text in units(passage.text):
                if len(found.texts) < MAX_SENTENCES:
                    found.texts.append(text)
                    found.places.append(place)
                    found.contexts.append(f"{' > '.join(passage.headings or (passage.title,))}: {text}")
        return found


def rank(
    question: str,
    passages: Sequence[Passage],
    candidates: Candidates,
    cosines: NDArray[np.float32],
    *,
    rarity: Mapping[str, float],
    scale: Scale,
) -> tuple[list[Passage], list[Evidence]]:
    """Return the passages with their scores, the best first, and the sentences by theirs.

    cosines: of each candidate with the question.
    """
    wanted = content_words(question)
    scores = [
        _sentence_score(question, text, passages[place], scaled(float(cosine), scale.sentences), rarity)
        for text, place, cosine in zip(candidates.texts, candidates.places, cosines, strict=True)
    ]
    best = [0.0] * len(passages)
    for place, score in zip(candidates.places, scores, strict=True):
        best[place] = max(best[place], score)
    whole = [
        _SENTENCE * best[place] + _TOPIC * _topic(passage, wanted, rarity, scale) + _RRF / (place + 1)
        for place, passage in enumerate(passages)
    ]
    order = sorted(range(len(passages)), key=lambda place: -whole[place])
    moved = {place: rank for rank, place in enumerate(order)}
    ranked = [replace(passages[place], score=whole[place]) for place in order]
    evidence = [
        # A sentence of a better passage wins over an equal one elsewhere.
        Evidence(moved[place], text, score * (0.7 + 0.3 * whole[place] / max(whole[order[0]], 1e-9)))
        for text, place, score in zip(candidates.texts, candidates.places, scores, strict=True)
    ]
    return ranked, sorted(evidence, key=lambda found: -found.score)


def _sentence_score(
    question: str, text: str, passage: Passage, similarity: float, rarity: Mapping[str, float]
) -> float:
    wanted = content_words(question)
    own = coverage(wanted, rarity, stems(text))
    context = coverage(wanted, rarity, stems(" ".join((text, *passage.headings, passage.title))))
    fit = {True: _FIT, False: -_FIT, None: 0.0}[fits(question, text)]
    fragment = 0.0 if _ENDS.search(text) else _FRAGMENT
    return similarity + _LITERAL * (0.7 * own + 0.3 * context) + fit - fragment


def _topic(passage: Passage, wanted: Sequence[str], rarity: Mapping[str, float], scale: Scale) -> float:
    near = scaled(passage.similarity, scale.sentences) if passage.similarity is not None else 0.0
    return near + coverage(wanted, rarity, stems(" ".join((passage.text, *passage.headings, passage.title))))


def words_to_compare(question: str, passage: Passage) -> tuple[list[str], list[str]]:
    """Return the question's words that a passage does not have by the letter, and the passage's words."""
    text = all_text(passage)
    found = stems(text)
    missing = [word for word in content_words(question) if not has_word(word, found) and not is_met(word, text)]
    return missing, [word for word in content_words(text) if not word[0].isdigit()][:MAX_WORDS] if missing else []


def asked_and_around(question: str, sentence: str, passage: Passage) -> tuple[list[str], list[str]]:
    """Return the words that name what is asked for, and those that may be other words for it; [] if it is there.

    Of "how many" only what the sentence counts is near: passengers may stand in it, and the number be of minutes.
    """
    asked = asked_words(question)
    if is_count(question):
        around = counted_words(sentence)
        asked = asked[:1]
    else:
        around = content_words(" ".join((sentence, *passage.headings, passage.title)))
    found = frozenset(map(stem, around))
    if any(has_word(word, found) or is_met(word, sentence) for word in asked):
        return [], []
    return asked, [word for word in around if not word[0].isdigit()][:MAX_WORDS]


def all_text(passage: Passage) -> str:
    """Return a passage's text with its title and headings."""
    return " ".join((passage.text, *passage.headings, passage.title))


def soft_coverage(
    question: str, rarity: Mapping[str, float], missing: Sequence[str], nearest: Sequence[float]
) -> float:
    """Return how well the question's words are covered in meaning, weighted by rarity, 0 to 1.

    nearest: of each missing word, the scaled cosine with the nearest word of the passage.
    """
    near = dict(zip(missing, nearest, strict=True))
    wanted = content_words(question)
    covered = [near.get(word, 1.0) for word in wanted]
    weights = [max(rarity.get(word, 1.0), 0.1) for word in wanted]
    total = sum(weights)
    return sum(value * weight for value, weight in zip(covered, weights, strict=True)) / total if total else 0.0
