"""Answer a question from retrieved passages, every sentence with what supports it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Literal, cast

from fastembed.inference.library.catalog import AUTO
from fastembed.operators.asking.support import (
    accepted,
    citation,
    complete_sentences,
    is_refusal,
    marked,
    place_of,
    quotes,
    support_of,
)
from fastembed.operators.generate import Generate
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.asking import Evidence, GroundedRequest, Retrieved
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted
from fastembed.pipeline.payload.grounding import AnswerSentence, Citation, Grounding
from fastembed.pipeline.retrieval import Retriever

NOT_FOUND: Final = "This is not in your files."
QUOTES: Final = "documents"
"""What answers, by name, where only the documents' own sentences are quoted."""
_MAX_SENTENCES: Final = 4


@operator
class Answer:
    """Answer a question from retrieved passages: each sentence is checked, and names what supports it.

    A chat model writes the answer, sentence by sentence. One that no sentence of the best passages supports (its words
    for the most part, its numbers all) is left out; where none is left, or only a model that ships for trying things
    out could write, the best sentences are quoted. Below the floor of `retrieve` the answer is that the documents do
    not say. So a citation is right by the way it is found, however weak the model is.

    In: `GroundedRequest`. Out: as of `generate`: one `ChatStarted`, `ChatDelta`s, one `ChatFinished`, whose `grounding`
    has the sentences and their sources. The text marks sources as [1] and lists them at its end.

    Args:
        model: as of `generate`. words: `checked`, a model's words, or `quoted`, the documents' sentences only.
        not_found: the answer where the documents do not say.
        keep: remember in the database where the answer is from, for `fastembed why`; the newest 10,000.

    Raises:
        What `generate` raises.

    """

    workers = 64

    def __init__(
        self,
        *,
        model: str = AUTO,
        words: Literal["checked", "quoted"] = "checked",
        not_found: str = NOT_FOUND,
        keep: bool = True,
    ) -> None:
        self._generate = Generate(model=model)
        self._quoted = words == "quoted"
        self._not_found = not_found
        self._keep = keep

    async def open(self, context: Context) -> None:
        """Load the model that answers first."""
        self._retriever = context.resources.get(Retriever)
        if not self._quoted:
            await self._generate.open(context)

    async def __call__(self, item: Item[GroundedRequest]) -> AsyncIterator[ChatEvent]:
        """Answer one question."""
        found = item.value.retrieved
        draft = _AnswerDraft(found)
        if not found.found:
            yield ChatStarted(QUOTES)
            yield ChatDelta(text=self._not_found)
        else:
            async with aclosing(self._answered(item, draft)) as events:
                async for event in events:
                    yield event
            if sources := draft.sources():
                yield ChatDelta(text=sources)
        grounding = draft.grounding()
        if self._keep and found.passages:
            await self._retriever.record(grounding, draft.databases())
        yield ChatFinished(0, "stop", draft.prompt_tokens, draft.completion_tokens, grounding=grounding)

    async def _answered(self, item: Item[GroundedRequest], draft: _AnswerDraft) -> AsyncGenerator[ChatEvent]:
        started = False
        if not self._quoted:
            async with aclosing(self._written(item, draft)) as events:
                async for event in events:
                    started = True
                    yield event
        if not started:
            yield ChatStarted(QUOTES, route="the documents' own sentences")
        if not draft.sentences:
            for part in quotes(draft.found):
                yield ChatDelta(text=draft.quote(part))

    async def _written(self, item: Item[GroundedRequest], draft: _AnswerDraft) -> AsyncGenerator[ChatEvent]:
        """Yield the supported sentences of a model as they come."""
        rest = ""
        request = cast("Item[ChatRequest]", item)  # a GroundedRequest is one
        async with aclosing(cast("AsyncGenerator[ChatEvent]", self._generate(request))) as events:
            async for event in events:
                if isinstance(event, ChatStarted):
                    if event.state == "pocket":  # it knows nothing: its words would only cost time
                        return
                    draft.model = event.model
                    yield event
                elif isinstance(event, ChatDelta):
                    whole, rest = complete_sentences(rest + event.text, ended=False)
                    for sentence in whole:
                        if text := draft.check(sentence):
                            yield ChatDelta(text=text)
                else:
                    draft.prompt_tokens, draft.completion_tokens = event.prompt_tokens, event.completion_tokens
                    for sentence in complete_sentences(rest, ended=True)[0] if event.reason == "stop" else ():
                        if text := draft.check(sentence):
                            yield ChatDelta(text=text)


class _AnswerDraft:
    """An answer as it grows."""

    def __init__(self, found: Retrieved) -> None:
        self.found = found
        self.model = ""
        self.sentences: list[AnswerSentence] = []
        self.prompt_tokens = self.completion_tokens = 0
        self._left_out: list[str] = []
        self._numbers: dict[int, int] = {}

    def check(self, sentence: str) -> str:
        """Take a sentence of a model if something supports it; return what to send, "": nothing."""
        supported = None if is_refusal(sentence) else support_of(sentence, self.found)
        known = any(sentence == taken.text for taken in self.sentences)
        if (
            supported is None
            or known
            or len(self.sentences) >= _MAX_SENTENCES
            or not accepted(supported[0], self.found)
        ):
            self._left_out.append(sentence)
            return ""
        return self._add(sentence, supported[0], supported[1], quoted=False)

    def quote(self, part: Evidence) -> str:
        """Take a sentence of a passage; return what to send."""
        return self._add(part.text, part, 1.0, quoted=True)

    def _add(self, text: str, part: Evidence, support: float, *, quoted: bool) -> str:
        number = self._numbers.setdefault(part.passage, len(self._numbers) + 1)
        sentence = AnswerSentence(text, (citation(number, part, self.found, support),), quoted)
        self.sentences.append(sentence)
        return (" " if len(self.sentences) > 1 else "") + marked(sentence)

    def citations(self) -> list[Citation]:
        """Return one citation a passage, by number."""
        found = {cited.number: cited for sentence in self.sentences for cited in sentence.citations}
        return [found[number] for number in sorted(found)]

    def sources(self) -> str:
        """Return the list of sources that ends the text."""
        lines = [f"[{cited.number}] {place_of(cited)}" for cited in self.citations()]
        return "\n\n" + "\n".join(lines) if lines else ""

    def databases(self) -> list[str]:
        """Return the databases that are cited; of an answer that cites none, those that were searched."""
        cited = [found.database for found in self.citations()] or [part.database for part in self.found.passages]
        return list(dict.fromkeys(cited))

    def grounding(self) -> Grounding:
        """Return what the answer rests on."""
        cited = {sentence.citations[0].passage_id for sentence in self.sentences}
        warnings = [
            f"{part.file}: {text}" for part in self.found.passages if part.chunk_id in cited for text in part.warnings
        ]
        return Grounding(
            id=f"ans-{secrets.token_hex(8)}",
            question=self.found.question.text.strip(),
            found=bool(self.sentences),
            confidence=round(self.found.confidence, 3),
            floor=self.found.floor,
            sentences=tuple(self.sentences),
            left_out=tuple(self._left_out),
            warnings=tuple(dict.fromkeys(warnings)),
            doubts=self.found.doubts,
            model=self.model if any(not sentence.quoted for sentence in self.sentences) else "",
        )
