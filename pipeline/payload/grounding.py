"""Where an answer is from: its sentences, and what supports each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Citation:
    """The sentence of a passage that supports a sentence of an answer. number: as the answer's text marks it.

    passage_id, file, pages, heading, seconds: where it stands. support: 0 to 1. sha256, definition, embedding_model:
    the file's content, the pipeline that read it, the model that found it.
    """

    number: int
    passage_id: int
    file: str
    pages: tuple[int, int] | None
    heading: str
    quote: str
    support: float
    seconds: tuple[float, float] | None = None
    sha256: str = ""
    definition: str = ""
    embedding_model: str = ""
    database: str = ""


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of an answer. quoted: it is the document's own; False: a model's words, which were checked."""

    text: str
    citations: tuple[Citation, ...]
    quoted: bool


@dataclass(frozen=True, slots=True)
class Grounding:
    """What an answer rests on. id: names it in `fastembed why`. found: whether the documents hold an answer.

    confidence, floor: as they were. doubts: what speaks against an answer. left_out: sentences of the model that
    nothing supports. warnings: of the cited files. model: the chat model, "" where only documents' sentences were
    quoted.
    """

    id: str
    question: str
    found: bool
    confidence: float
    floor: float
    sentences: tuple[AnswerSentence, ...] = ()
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    model: str = ""
    doubts: tuple[str, ...] = ()
