"""Find the passages of stored documents that answer a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.library.folders import is_pocket
from fastembed.inference.serving.models import Models
from fastembed.operators.asking.confidence import ANCHOR_WORDS, ANCHORS, FLOOR, doubts, probability, scaled
from fastembed.operators.asking.kinds import fits
from fastembed.operators.asking.ranking import (
    Candidates,
    Scale,
    all_text,
    asked_and_around,
    rank,
    soft_coverage,
    words_to_compare,
)
from fastembed.operators.asking.vectors import RecentVectors
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.payload.asking import DocumentQuestion, Evidence, Passage, Retrieved, SearchScope
from fastembed.pipeline.payload.chat import ChatRequest
from fastembed.pipeline.payload.rerank import RerankRequest
from fastembed.pipeline.retrieval import FoundPassages, Retriever

MAX_QUESTION_CHARS: Final = 4_000
_POOL: Final = 24
_EVIDENCE: Final = 8


@operator
class Retrieve:
    """Find the passages of the stored documents that answer a question, and say how sure that is.

    By words (BM25) and by meaning together; the best are ordered by their best sentences, and by a reranker where one
    is here that does not only ship for trying things out.

    In: `DocumentQuestion`, or a `ChatRequest`, whose last turn of the user is the question. Out: `Retrieved`: the
    passages, best first, sentences, and a confidence of 0 to 1 that they hold the answer (`operators.asking`).

    Args:
        limit: passages to answer from. A question that says how many gets so many.
        floor: the least confidence with which a question is answered, calibrated so that 0.5 is even odds.
        pipeline: only documents that this pipeline has read. table: only this chunk table; by default all.
        rerank: a reranker's name, "auto": one that is here, "none".

    Raises:
        InvalidInput: no question, or a longer one than 4000 characters.
        NotFound: no database is open.

    """

    workers = 16

    def __init__(
        self,
        *,
        limit: Annotated[int, Field(ge=1, le=20)] = 5,
        floor: Annotated[float, Field(ge=0, le=1)] = FLOOR,
        pipeline: str | None = None,
        table: str | None = None,
        rerank: str = AUTO,
    ) -> None:
        self._limit = limit
        self._floor = floor
        self._scope = SearchScope(pipeline=pipeline, tables=(table,) if table else ())
        self._rerank = rerank
        self._scales: dict[str, Scale] = {}

    async def open(self, context: Context) -> None:
        """Find the databases and the models; what they need is loaded with the first question."""
        self._retriever = context.resources.get(Retriever)
        self._models = context.resources.get(Models)
        self._vectors = RecentVectors(self._retriever.embed)

    async def __call__(self, asked: DocumentQuestion | ChatRequest) -> Retrieved:
        """Find the passages for one question."""
        request = asked if isinstance(asked, ChatRequest) else None
        question = _question(asked) if isinstance(asked, ChatRequest) else asked
        text = question.text.strip()
        if not text:
            raise InvalidInput("found no question, expected one", param="question")
        if len(text) > MAX_QUESTION_CHARS:
            raise InvalidInput(f"found {len(text)} characters, expected at most {MAX_QUESTION_CHARS}", param="question")
        floor = self._floor if question.floor is None else question.floor
        found = await self._retriever.find(text, self._within(question.scope), _POOL)
        passages, evidence, measured = await self._ranked(text, found)
        confidence = probability(measured) if measured else 0.0
        limit = question.limit or self._limit
        best = tuple(part for part in evidence if part.passage < limit)[:_EVIDENCE]
        return Retrieved(question, tuple(passages[:limit]), best, confidence, floor, request, doubts(measured))

    def _within(self, scope: SearchScope) -> SearchScope:
        """Return the request's scope within the step's own."""
        return replace(
            scope, pipeline=scope.pipeline or self._scope.pipeline, tables=scope.tables or self._scope.tables
        )

    async def _ranked(self, text: str, found: FoundPassages) -> tuple[list[Passage], list[Evidence], tuple[float, ...]]:
        if not found.passages:
            return [], [], ()
        candidates = Candidates.of(found.passages)
        if not candidates.texts:
            return [], [], ()
        scale = await self._scale(found.model)
        if found.vector is None:
            cosines = np.zeros(len(candidates.texts), np.float32)
        else:
            vectors = await self._vectors.of(candidates.contexts, found.model)
            cosines = vectors @ found.vector
        passages, evidence = rank(text, found.passages, candidates, cosines, rarity=found.rarity, scale=scale)
        passages, evidence = await self._reranked(text, passages, evidence)
        return passages, evidence, await self.features(text, found, passages, evidence, _by_text(candidates, cosines))

    async def features(
        self,
        text: str,
        found: FoundPassages,
        passages: Sequence[Passage],
        evidence: Sequence[Evidence],
        cosines: dict[str, float],
    ) -> tuple[float, ...]:
        """Return what the confidence is made of (`fastembed.operators.asking.confidence.FEATURES`)."""
        scale = await self._scale(found.model)
        best, margin = evidence[0], evidence[0].score - (evidence[1].score if len(evidence) > 1 else 0.0)
        passage = passages[best.passage]
        missing, known = words_to_compare(text, passage)
        nearest = await self._nearest(missing, known, found.model, scale)
        covered = soft_coverage(text, found.rarity, missing, nearest)
        sentence = scaled(cosines.get(best.text, 0.0), scale.sentences)
        unnamed, around = asked_and_around(text, best.text, passage)
        named = max(await self._nearest(unnamed, around, found.model, scale), default=1.0)
        fit = fits(text, best.text)
        return sentence, covered, margin, float(fit is True), float(fit is False), named

    async def _nearest(self, words: Sequence[str], known: Sequence[str], model: str, scale: Scale) -> list[float]:
        """Return of each word how near the nearest of the known ones is in meaning, 0 to 1."""
        if not (model and words and known):
            return [0.0] * len(words)
        vectors = await self._vectors.of([*words, *known], model)
        near = (vectors[: len(words)] @ vectors[len(words) :].T).max(axis=1)
        return [scaled(float(value), scale.words) for value in near]

    async def _scale(self, model: str) -> Scale:
        if not model:
            return Scale()
        if model not in self._scales:
            vectors = await self._vectors.of([*ANCHORS, *ANCHOR_WORDS], model)
            self._scales[model] = Scale.of(vectors[: len(ANCHORS)], vectors[len(ANCHORS) :])
        return self._scales[model]

    async def _reranked(
        self, text: str, passages: list[Passage], evidence: list[Evidence]
    ) -> tuple[list[Passage], list[Evidence]]:
        """Order the best passages anew by a reranker, if there is one: half its score, half that of before."""
        name = self._reranker()
        if name is None:
            return passages, evidence
        documents = [all_text(passage) for passage in passages]
        async with self._models.lend(name, "rerank") as model:
            ranking = await _ranking(model, text, documents)
        scores = {place: (passages[place].score + score) / 2 for place, score in ranking.items()}
        order = sorted(scores, key=lambda place: -scores[place])
        moved = {place: rank for rank, place in enumerate(order)}
        ranked = [replace(passages[place], score=scores[place]) for place in order]
        told = [
            replace(part, passage=moved[part.passage], score=part.score * (0.5 + ranking[part.passage]))
            for part in evidence
        ]
        return ranked, sorted(told, key=lambda part: -part.score)

    def _reranker(self) -> str | None:
        """Return the reranker to ask: the one that is named, else one that is here and no pocket model."""
        if self._rerank != AUTO:
            return None if self._rerank == "none" else self._rerank
        try:
            placed = self._models.catalog.place(AUTO, "rerank")
        except ModelNotFound:
            return None
        return None if placed.folder is None or is_pocket(placed.folder) else placed.name


async def _ranking(model: RerankModel, query: str, documents: Sequence[str]) -> dict[int, float]:
    found = await model.rank(RerankRequest(query, documents), priority=1)
    return {ranked.index: ranked.score for ranked in found.results}


def _question(request: ChatRequest) -> DocumentQuestion:
    """Return the question that a conversation ends with."""
    turns = [message.text for message in request.messages if message.role == "user" and message.text.strip()]
    if not turns:
        raise InvalidInput("found no text of a user, expected a question", param="messages")
    return DocumentQuestion(turns[-1], model=request.model)


def _by_text(candidates: Candidates, cosines: NDArray[np.float32]) -> dict[str, float]:
    return {text: float(cosine) for text, cosine in zip(candidates.texts, cosines, strict=True)}
