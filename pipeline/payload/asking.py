"""What the pipelines that answer from documents carry: a question, the passages found for it, the answer's sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastembed.pipeline.payload.chat import ChatRequest


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Where to look; what is left out limits nothing.

    pipeline: whose documents. database: a path, its end, or a name. tables: chunk tables. files: patterns of names
    (`*` is any text). types: suffixes without the dot. since, until: when the file was last changed, UTC.
    """

    pipeline: str | None = None
    database: str | None = None
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DocumentQuestion:
    """A question about the documents that were read. model: a chat model's name or "auto".

    limit: how many passages to answer from, None: as the pipeline says. floor: the least confidence for an answer.
    """

    text: str
    scope: SearchScope = SearchScope()
    model: str = "auto"
    limit: int | None = None
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found for a question, and where it is from.

    sha256: of the file. definition: hash of the pipeline's definition that read it. model: what embedded it.
    similarity: cosine to the question, None: not embedded. words_score: BM25. score: how well it answers, 0 to 1.
    """

    chunk_id: int
    text: str
    file: str
    title: str = ""
    pages: tuple[int, int] | None = None
    headings: tuple[str, ...] = ()
    seconds: tuple[float, float] | None = None
    pipeline: str = ""
    table: str = ""
    database: str = ""
    path: str = ""
    sha256: str = ""
    definition: str = ""
    model: str = ""
    warnings: tuple[str, ...] = ()
    similarity: float | None = None
    words_score: float | None = None
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence of a passage (its place in `Retrieved.passages`) that bears on the question: 0 to 1."""

    passage: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A question with the passages that were found for it, the best first, and their best sentences.

    confidence: how probable it is that they hold the answer, 0 to 1. floor: below it the question is not answered.
    request: the conversation that the question ends, where it came as one. doubts: what speaks against an answer.
    """

    question: DocumentQuestion
    passages: tuple[Passage, ...]
    evidence: tuple[Evidence, ...]
    confidence: float
    floor: float
    request: ChatRequest | None = None
    doubts: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether the documents seem to hold the answer."""
        return bool(self.evidence) and self.confidence >= self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedRequest(ChatRequest):
    """A conversation whose answer has to be supported by what was retrieved."""

    retrieved: Retrieved
