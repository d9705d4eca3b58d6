"""What each model was used for since the start: requests, tokens, audio, and how long they took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

from fastembed.pipeline.observe import Histogram
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished


@dataclass(slots=True)
class ModelUsage:
    """One model's work. requests: answered ones. tokens: of texts that it read and wrote. audio_s: seconds of speech.

    latency: from asking the model to the end of its answer. first: to the first piece of a streamed answer.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_s: float = 0.0
    latency: Histogram = field(default_factory=Histogram)
    first: Histogram = field(default_factory=Histogram)

    def answered(self, seconds: float, *, prompt_tokens: int = 0, audio_s: float = 0.0) -> None:
        """Count an answer that came in one piece."""
        self.requests += 1
        self.prompt_tokens += prompt_tokens
        self.audio_s += audio_s
        self.latency.observe(seconds)


class AnswerMeter:
    """Times and counts one streamed answer as its events pass."""

    __slots__ = ("_begun_s", "_clock", "_first", "_usage")

    def __init__(self, usage: ModelUsage, clock: Callable[[], float] = perf_counter) -> None:
        self._usage = usage
        self._clock = clock
        self._begun_s = clock()
        self._first = True

    def note(self, event: ChatEvent) -> None:
        """Count one event. An answer of several choices is one request, whose prompt was read once."""
        if self._first and isinstance(event, ChatDelta):
            self._first = False
            self._usage.first.observe(self._clock() - self._begun_s)
        elif isinstance(event, ChatFinished):
            self._usage.completion_tokens += event.completion_tokens
            if event.index == 0:
                self._usage.answered(self._clock() - self._begun_s, prompt_tokens=event.prompt_tokens)


class Usage:
    """The use of all models of this process, by name."""

    def __init__(self) -> None:
        self._models: dict[str, ModelUsage] = {}

    def of(self, model: str) -> ModelUsage:
        """Return a model's use, to add to."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = ModelUsage()
        return found

    def __iter__(self) -> Iterator[tuple[str, ModelUsage]]:
        """Yield every model that answered something."""
        yield from list(self._models.items())
