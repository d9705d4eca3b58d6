"""Answer a conversation with a chat model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from fastembed.inference.engines.chat.resume import AnswerProgress
from fastembed.inference.engines.chat.sampling import check_sampling
from fastembed.inference.library.specs import AUTO
from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.attempts import Attempts, call
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.resilience.chatting import answer
from fastembed.inference.serving.resilience.lending import Lent
from fastembed.inference.serving.routing.decision import Decision
from fastembed.inference.serving.routing.router import Router
from fastembed.inference.serving.routing.showing import shown
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.inference.serving.usage import AnswerMeter
from fastembed.operators.listening.transcripts import Transcripts, has_sound
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest


@operator
class Generate:
    """Answer a conversation, or complete a text, with a language model; the answer comes as it is written.

    In: `ChatRequest`. Out: one `ChatStarted`, then `ChatDelta`s (the pieces of all choices, in the order in which they
    came), and one `ChatFinished` a choice. A caller who leaves frees the place. Sound is given to models that hear, and
    the answer's route says so; for others it is written down, where the request names a `transcriber` (`hear` does).

    Args:
        model: name from `models:`, or "auto", for requests that name none: the router chooses among the chat models
            whose files are there; else the small one that ships answers, and says so. A request that names a model gets
            that one, on the next of its devices where one fails, then what it falls back to, if the request allows it.
        max_tokens: most tokens of an answer, also when the request allows more; by default what the context holds.

    Raises:
        InvalidInput: options out of range, a prompt longer than the context (context_length_exceeded), a schema that
            answers cannot be held to, images or sound for a model that reads text.
        ModelNotFound: no such model, or its files are missing.
        Overloaded: too many answers under way, on every model and device that may answer.
        Unavailable: none of the models that may answer can now, or an answer broke off after its beginning was
            shown, and no other device of its model can go on with it.

    """

    workers = 256

    def __init__(self, *, model: str = AUTO, max_tokens: int | None = None) -> None:
        self._model = model
        self._max_tokens = max_tokens

    async def open(self, context: Context) -> None:
        """Load the model that answers first."""
        self._models = context.resources.get(Models)
        self._breakers = context.resources.find(Breakers) or Breakers()
        self._router = context.resources.find(Router) or Router(self._models, breakers=self._breakers)
        engines = context.resources.find(SpeechEngines)
        self._transcripts = Transcripts(engines) if engines else None
        first = self._router.decide(ChatRequest(), default=self._model)

        async def load(candidate: Candidate) -> None:
            await self._models.warm(candidate.model, "chat")

        await call(Attempts(first.candidates, self._breakers), load)

    async def __call__(self, item: Item[ChatRequest]) -> AsyncIterator[ChatEvent]:
        """Answer one request."""
        check_sampling(
            item.value.sampling, item.value.count
        )  # what no engine supports is refused before a model is loaded
        request = self._limited(item.value)
        decision = self._router.decide(request, default=self._model)
        if request.transcriber and not decision.candidates[0].hears:
            request = await self._with_audio(request, decision, decision.candidates[0])
            decision = self._router.decide(request, default=self._model)
        request = shown(request, decision)

        async def ask(
            candidate: Candidate, request: ChatRequest, tried: str, progress: AnswerProgress
        ) -> AsyncGenerator[ChatEvent]:
            request = await self._with_audio(request, decision, candidate)
            route = f"{tried}; so {candidate.model} on {candidate.device}" if tried else decision.summary
            async with (
                Lent(self._models, candidate, "chat", priority=item.priority) as model,
                aclosing(model.generate(request, route=route, progress=progress)) as events,
            ):
                meter = AnswerMeter(self._models.usage.of(candidate.model))
                async for event in events:
                    meter.note(event)
                    yield event

        attempts = Attempts(decision.candidates, self._breakers)
        events = answer(request, attempts, ask, alternatives=lambda: self._alternatives(request, decision))
        async with aclosing(events):
            async for event in events:
                yield event

    async def _with_audio(self, request: ChatRequest, decision: Decision, candidate: Candidate) -> ChatRequest:
        """Return the request with its audio in the form that this model takes: samples or a transcript."""
        if not any(map(has_sound, request.messages)):
            return request
        if any(found.hears for found in decision.candidates if found.model == candidate.model):
            return replace(request, notes=(*request.notes, f"audio heard by {candidate.model}"))
        if self._transcripts is None or not request.transcriber:
            return request
        return await self._transcripts.instead(request, request.transcriber)

    def _limited(self, request: ChatRequest) -> ChatRequest:
        requested, limit = request.sampling.max_tokens, self._max_tokens
        if limit is None or (requested is not None and requested <= limit):
            return request
        return replace(request, sampling=replace(request.sampling, max_tokens=limit))

    def _alternatives(self, request: ChatRequest, decision: Decision) -> Sequence[str]:
        """Return hints for the error: another model that could answer, or the command that gets one."""
        names = {candidate.model for candidate in decision.candidates}
        any_model = replace(request, model_fallback=True)
        others = self._router.explain(any_model, default=self._model).decision.candidates
        if other := next((other for other in others if other.model not in names), None):
            return (f"{other.model} on {other.device} can answer: allow it with model_fallback true",)
        command = next((offer.command for offer in self._router.offers() if offer.task == "chat" and offer.command), "")
        return (f"another model comes with: {command}",) if command else ()
