"""Checks the sentences of an answer against the passages: what supports each, if anything does."""

from __future__ import annotations

import re
from typing import Final

from fastembed.operators.asking.kinds import fits
from fastembed.operators.asking.terms import content_words, has_word, numbers, stems
from fastembed.operators.chunking.sentences import sentences
from fastembed.pipeline.payload.asking import Evidence, Retrieved
from fastembed.pipeline.payload.grounding import AnswerSentence, Citation

SUPPORT: Final = 0.75
"""The least share of a sentence's words that the sentence which it rests on, or its question, must have."""
_LEAST_WORDS: Final = 2
_BEST: Final = 3
_NUMBERED: Final = re.compile(r"\s*\[\d+\](?:\s*,\s*\[\d+\])*")
_LISTED: Final = re.compile(
    r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(?!(?:Jan|Feb|Mar|Mär|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez)[a-zä]*\b)"
)
"""The mark of a list, which is no number of the documents; `1. April` is."""
_REFUSAL: Final = re.compile(r"\bnot (?:in your files|mentioned|stated|specified|provided)\b", re.IGNORECASE)


def complete_sentences(text: str, *, ended: bool) -> tuple[list[str], str]:
    """Return the sentences of what has been written so far, and the rest, which may go on."""
    found = list(sentences(text))
    if ended or not found:
        return [part for part in map(_plain, found) if part], ""
    return [part for part in map(_plain, found[:-1]) if part], found[-1]


def _plain(text: str) -> str:
    """Drop a model's own numbers of sources, and of its lists: where a sentence is from is found out, not believed."""
    return " ".join(_LISTED.sub("", _NUMBERED.sub("", text)).split())


def is_refusal(sentence: str) -> bool:
    """Whether a model says that the passages do not answer."""
    return _REFUSAL.search(sentence) is not None


def support_of(sentence: str, found: Retrieved) -> tuple[Evidence, float] | None:
    """Return the passage's sentence that supports a sentence of an answer, and how far; None: none does.

    All numbers of the sentence have to stand in the supporting one, names and other words for the most part; words of
    the question alone say nothing, and a sentence that repeats it is no answer.
    """
    asked = stems(found.question.text)
    words = content_words(sentence)
    new = [word for word in words if not has_word(word, asked)]
    if len(words) < _LEAST_WORDS or not new or fits(found.question.text, sentence) is False:
        return None
    best: tuple[Evidence, float] | None = None
    for part in found.evidence:
        passage = found.passages[part.passage]
        own = stems(part.text)
        context = own | stems(" ".join((*passage.headings, passage.title)))
        if not numbers(sentence) <= numbers(part.text) | numbers(found.question.text):
            continue
        share = sum(has_word(word, own) for word in new) / len(new)
        every = sum(has_word(word, context) or has_word(word, asked) for word in words) / len(words)
        support = min(share, every)
        if support >= SUPPORT and (best is None or support > best[1]):
            best = part, support
    return best


def accepted(part: Evidence, found: Retrieved) -> bool:
    """Whether a supported sentence rests on one of the best: another one may be true, and answer something else."""
    return part in found.evidence[:_BEST] or part.passage == found.evidence[0].passage


def quotes(found: Retrieved) -> list[Evidence]:
    """Return the sentences to quote: the best one, and one that is nearly as good from elsewhere."""
    best, *others = found.evidence
    more = [part for part in others[:1] if part.score >= 0.92 * best.score and part.text != best.text]
    return [best, *more]


def citation(number: int, part: Evidence, found: Retrieved, support: float) -> Citation:
    """Return where a sentence is from."""
    passage = found.passages[part.passage]
    return Citation(
        number=number,
        passage_id=passage.chunk_id,
        file=passage.file,
        pages=passage.pages,
        heading=" > ".join(passage.headings),
        quote=part.text,
        support=round(support, 3),
        seconds=passage.seconds,
        sha256=passage.sha256,
        definition=passage.definition,
        embedding_model=passage.model,
        database=passage.database,
    )


def marked(sentence: AnswerSentence) -> str:
    """Return a sentence as an answer shows it: with the numbers of its sources."""
    return f"{sentence.text} {''.join(f'[{found.number}]' for found in sentence.citations)}"


def place_of(found: Citation) -> str:
    """Return where a source is, for people: its file, pages or times, and heading."""
    parts = [found.file]
    if found.pages:
        first, last = found.pages
        parts.append(f"page {first}" if first == last else f"pages {first}-{last}")
    if found.seconds:
        start, end = (f"{int(second) // 60}:{int(second) % 60:02d}" for second in found.seconds)
        parts.append(f"{start}-{end}")
    if found.heading:
        parts.append(found.heading)
    return ", ".join(parts)
