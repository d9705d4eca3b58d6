import asyncio
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fastembed.inference.engines.speech.engine import Heard, SpeechRequest, SpokenWord
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.transcribe import Transcribe
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.audio import (
    Cleared,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
    Utterance,
    Word,
)


@dataclass
class Dictation:
    """An engine that reads out what it was given, and remembers what it was asked."""

    script: list[Heard | Exception | None]
    label: str = "dictation"
    asked: list[SpeechRequest] = field(default_factory=list)

    def check(self, language: str | None, *, translate: bool = False) -> None:
        if language == "xx" or translate:
            raise InvalidInput("found language 'xx'", param="language", code="unsupported_language")

    async def warm(self) -> None:
        return

    async def close(self) -> None:
        return

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        self.asked.append(request)
        heard = self.script.pop(0)
        if isinstance(heard, Exception):
            raise heard
        return heard


class OneEngine(SpeechEngines):
    def __init__(self, engine: Dictation) -> None:
        super().__init__()
        self.engine = engine

    def resolve(self, name: str = "auto", default: str = "auto") -> Dictation:  # noqa: ARG002 - one engine
        if name == "large":
            raise ModelNotFound("found model 'large'", param="model")
        return self.engine


async def transcriber(tmp_path, *script: Heard | Exception | None) -> tuple[Transcribe, Dictation]:
    engine = Dictation(list(script))
    step = Transcribe()
    await step.open(Context("p", "transcribe", "", tmp_path, resources=Resources(OneEngine(engine))))
    return step, engine


def utterance(*, final: bool = False, settings: SpeechSettings | None = None) -> Utterance:
    return Utterance(
        "u", np.zeros(16_000, np.float32), 1_000, 2_000, final=final, settings=settings or SpeechSettings()
    )


async def said(step: Transcribe, *events: object) -> list:
    return [out for event in events async for out in step(Item(event, key="session"))]


async def test_deltas_come_as_passes_agree_and_concatenate_to_the_transcript(tmp_path) -> None:
    final = Heard("one two four", (SpokenWord("one", 0.1, 0.25),), "en")
    step, _ = await transcriber(tmp_path, Heard("one too"), Heard("one two three"), Heard("one two four"), final)
    out = await said(step, utterance(), utterance(), utterance(), utterance(final=True))
    assert out[:-1] == [TranscriptDelta("u", text, "dictation") for text in ("one", " two", " four")]
    assert out[-1] == Transcript("u", "one two four", "dictation", "en", 1_000, 2_000, (Word("one", 1_100, 1_250),))


async def test_a_partial_that_the_engine_has_no_time_for_says_nothing(tmp_path) -> None:
    step, _ = await transcriber(tmp_path, None, Heard("yes"))
    assert await said(step, utterance()) == []
    assert [type(event) for event in await said(step, utterance(final=True))] == [TranscriptDelta, Transcript]


async def test_an_utterance_without_words_has_an_empty_transcript_and_no_delta(tmp_path) -> None:
    step, _ = await transcriber(tmp_path, Heard())
    (only,) = await said(step, utterance(final=True))
    assert isinstance(only, Transcript)
    assert only.text == ""


async def test_a_failure_is_said_for_the_final_utterance_only(tmp_path) -> None:
    step, _ = await transcriber(tmp_path, Unavailable("gone"), Unavailable("gone", code="c"), Heard("back"))
    assert await said(step, utterance()) == []
    assert await said(step, utterance(final=True)) == [TranscriptFailed("u", "gone", "c", 503)]
    assert len(await said(step, utterance(final=True))) == 2


async def test_the_engine_learns_who_speaks_in_what_language_and_what_to_expect(tmp_path) -> None:
    step, engine = await transcriber(tmp_path, Heard(), Heard())
    settings = SpeechSettings(language="en", prompt="names: Ada")
    await said(step, utterance(settings=settings), utterance(final=True, settings=settings))
    assert [(r.language, r.prompt, r.partial, r.stream_id, r.speaker_id) for r in engine.asked] == [
        ("en", "names: Ada", True, "u", "session"),
        ("en", "names: Ada", False, "u", "session"),
    ]


async def test_settings_pass_on_with_the_name_of_the_model(tmp_path) -> None:
    step, _ = await transcriber(tmp_path)
    (settings,) = await said(step, SpeechSettings(model="auto", ref="r"))
    assert (settings.model, settings.ref) == ("dictation", "r")
    assert await said(step, SpeechSettings(model=None)) == [SpeechSettings(model=None)]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (SpeechSettings(model="large", ref="r"), "model_not_found"),
        (SpeechSettings(language="xx", ref="r"), "unsupported_language"),
    ],
)
async def test_settings_that_cannot_be_are_a_problem_at_once(tmp_path, wanted: SpeechSettings, code: str) -> None:
    step, _ = await transcriber(tmp_path)
    (problem,) = await said(step, wanted)
    assert isinstance(problem, SpeechProblem)
    assert (problem.code, problem.ref) == (code, "r")


async def test_a_cleared_utterance_is_forgotten(tmp_path) -> None:
    step, _ = await transcriber(tmp_path, Heard("one two"), Heard("one two"), Heard("red"))
    await said(step, utterance(), utterance())
    assert await said(step, Cleared("u")) == [Cleared("u")]
    assert (await said(step, utterance(final=True)))[-1].text == "red"


async def test_utterances_that_never_end_do_not_pile_up(tmp_path) -> None:
    step, _ = await transcriber(tmp_path, *[Heard("a b")] * 3_000)
    for number in range(3_000):
        event = utterance()
        await said(step, Utterance(f"u{number}", event.samples, 0, 1, final=False, settings=event.settings))
    assert len(step._agreements) <= 1_024


async def test_utterances_of_a_session_follow_each_other_and_other_events_wait_for_none(tmp_path) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    step, engine = await transcriber(tmp_path)

    async def transcribe(request: SpeechRequest) -> Heard:
        await (first if request.stream_id == "u1" else second).wait()
        return Heard(request.stream_id)

    engine.transcribe = transcribe
    told: list[object] = []

    async def tell(event: object, key: str = "session") -> None:
        told.extend([out async for out in step(Item(event, key=key))])

    u1, u2 = (Utterance(name, np.zeros(9), 0, 1, final=True, settings=SpeechSettings()) for name in ("u1", "u2"))
    pending = [asyncio.ensure_future(tell(event)) for event in (u1, u2)]
    second.set()
    await tell(SpeechStarted("u3", 5))
    await tell(u2, key="another session")
    assert [type(event) for event in told] == [SpeechStarted, TranscriptDelta, Transcript]
    first.set()
    await asyncio.gather(*pending)
    assert [event.text for event in told[3:] if isinstance(event, Transcript)] == ["u1", "u2"]
    assert step._last_turns == {}


async def test_the_transcript_is_the_final_pass_whatever_was_published(tmp_path) -> None:
    final = Heard("cold hearted and selfish", (SpokenWord("cold", 0, 1),))
    step, _ = await transcriber(tmp_path, Heard("gold hearted and"), Heard("gold hearted and"), final)
    out = await said(step, utterance(), utterance(), utterance(final=True))
    assert [event.text for event in out] == ["gold hearted", " and selfish", "cold hearted and selfish"]
    assert [word.text for word in out[-1].words] == ["cold"]


async def test_the_engine_learns_whether_words_are_shown_and_what_is_recorded(tmp_path) -> None:
    step, engine = await transcriber(tmp_path, Heard("one two"), Heard("one two"), Heard("one two"), Heard("one two"))
    piece = replace(utterance(final=True), recorded=True)
    await said(step, utterance(), utterance(), utterance(), piece)
    assert [(request.shown, request.recorded) for request in engine.asked] == [
        (False, False),
        (False, False),
        (True, False),
        (False, True),
    ]


async def test_other_events_pass(tmp_path) -> None:
    step, _ = await transcriber(tmp_path)
    assert await said(step, SpeechStarted("u", 5)) == [SpeechStarted("u", 5)]
