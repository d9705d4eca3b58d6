"""One question a task whose right answer is known, and how well a model answers it."""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fastembed.inference.engines.media.wav import plain_wav
from fastembed.inference.engines.speakers.clustering import ALIKE, mean_voice
from fastembed.inference.engines.speakers.features import windows
from fastembed.inference.engines.speakers.kind import SPEAKER_EMBEDDING
from fastembed.inference.engines.speech.engine import SpeechRequest
from fastembed.inference.engines.speech.resample import Resampler
from fastembed.inference.engines.voice.kind import SPEECH_SYNTHESIS
from fastembed.inference.serving.models import Models
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, Message, Sampling, TextPart
from fastembed.pipeline.payload.rerank import RerankRequest

Probe = Callable[[Models, str, str], Awaitable[tuple[bool, str]]]
"""Asks a model on a device; returns whether the answer is right, and how fast it came."""

_CALL: Final = Path(__file__).parents[1] / "demo_assets" / "morning-call.wav"
_CALL_WORDS: Final = ("weather", "station", "rain", "river", "road", "village", "tomorrow", "cold")
_RATE_HZ: Final = 16_000
_SENTENCE: Final = "The weather in the mountains was cold and windy all day long."
_SENTENCE_WORDS: Final = ("weather", "mountains", "cold", "windy", "day", "long")
_EARS: Final = "whisper-base"
_PRINTED: Final = "The storm tore the roof off the hut."
_PRINTED_WORDS: Final = ("storm", "tore", "roof", "hut")
_MOST_TOKENS: Final = 32


async def _chat(models: Models, name: str, device: str) -> tuple[bool, str]:
    text, pace = await _written(models, name, device, "What is the capital of France? Answer in one sentence.")
    return "paris" in text.lower(), pace


async def _code(models: Models, name: str, device: str) -> tuple[bool, str]:
    text, pace = await _written(models, name, device, "Write a Python function that adds two numbers.")
    return "def " in text, pace


async def _written(models: Models, name: str, device: str, question: str) -> tuple[str, str]:
    """Return what a model writes, and how fast it came."""
    message = Message("user", (TextPart(question),))
    request = ChatRequest((message,), sampling=Sampling(temperature=0, max_tokens=_MOST_TOKENS))
    async with models.lend(name, "chat", device=device) as model:
        began, first, text, tokens = time.perf_counter(), 0.0, "", 0
        async for event in model.generate(request):
            if isinstance(event, ChatDelta):
                first = first or time.perf_counter()
                text += event.text + event.reasoning
            elif isinstance(event, ChatFinished):
                tokens = event.completion_tokens
        ended = time.perf_counter()
    pace = f"first token {1e3 * ((first or ended) - began):.0f} ms"
    if tokens > 1 and ended > first:
        pace += f", {(tokens - 1) / (ended - first):.1f} tokens/s"
    return text, f"{pace}; {text.strip()[:60]!r}"


async def _embedding(models: Models, name: str, device: str) -> tuple[bool, str]:
    texts = ["The storm tore the roof off the hut.", "A gale destroyed the top of the cabin.", "The invoice is due."]
    async with models.lend(name, "embedding", device=device) as model:
        began = time.perf_counter()
        vectors, _ = await model.embed([model.prompts.before(text, "document") for text in texts])
        took_s = time.perf_counter() - began
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near, far = float(unit[0] @ unit[1]), float(unit[0] @ unit[2])
    return near > far, f"{len(texts) / took_s:.0f} texts/s; like {near:.2f}, unlike {far:.2f}"


async def _rerank(models: Models, name: str, device: str) -> tuple[bool, str]:
    documents = ("The invoice is due on Friday.", "The storm tore the roof off the hut.")
    async with models.lend(name, "rerank", device=device) as model:
        began = time.perf_counter()
        ranking = await model.rank(RerankRequest("what did the storm do to the hut", documents))
        took_s = time.perf_counter() - began
    return ranking.results[0].index == 1, f"{len(documents) / took_s:.0f} pairs/s"


async def _transcription(models: Models, name: str, device: str) -> tuple[bool, str]:
    samples = np.concatenate(list(plain_wav(_CALL.read_bytes(), _RATE_HZ) or ()))
    async with models.lend(name, "transcription", device=device) as engine:
        began = time.perf_counter()
        transcript = await engine.transcribe(SpeechRequest(samples, language="en", recorded=True))
        took_s = time.perf_counter() - began
    text = transcript.text.lower() if transcript else ""
    found = sum(word in text for word in _CALL_WORDS)
    pace = len(samples) / _RATE_HZ / took_s
    return found >= len(_CALL_WORDS) - 1, f"{pace:.1f} times as fast as speech; {found} of {len(_CALL_WORDS)} words"


async def _speech_synthesis(models: Models, name: str, device: str) -> tuple[bool, str]:
    """Have the voice say a sentence, and whisper-base, which ships, write it down."""
    async with models.lend(name, SPEECH_SYNTHESIS.name, device=device) as voice:
        began = time.perf_counter()
        samples = await voice.speak(_SENTENCE, voice.voices.default)
        took_s = time.perf_counter() - began
        rate_hz = voice.rate_hz
    resampler = Resampler(rate_hz, _RATE_HZ)
    heard = np.concatenate([resampler.push(samples), resampler.flush()])
    async with models.lend(_EARS, "transcription") as engine:
        transcript = await engine.transcribe(SpeechRequest(heard, language="en", recorded=True))
    text = transcript.text.lower() if transcript else ""
    found = sum(word in text for word in _SENTENCE_WORDS)
    pace = len(samples) / rate_hz / took_s
    return found >= len(_SENTENCE_WORDS) - 1, (
        f"{pace:.1f} times as fast as speech; whisper-base hears {found} of {len(_SENTENCE_WORDS)} words"
    )


async def _document(models: Models, name: str, device: str) -> tuple[bool, str]:
    """Have the model read a page with one printed sentence."""
    page = Image.new("RGB", (1024, 512), "white")
    ImageDraw.Draw(page).text((60, 200), _PRINTED, fill="black", font=ImageFont.load_default(size=48))
    picture = io.BytesIO()
    page.save(picture, "PNG")
    async with models.lend(name, "document", device=device) as model:
        began = time.perf_counter()
        written = (await model.read([picture.getvalue()]))[0]
        took_s = time.perf_counter() - began
    text = written.text.lower()
    found = sum(word in text for word in _PRINTED_WORDS)
    pace = f"{written.token_count / took_s:.1f} tokens/s, a line in {took_s:.1f} s"
    return found == len(_PRINTED_WORDS), f"{pace}; {found} of {len(_PRINTED_WORDS)} words"


async def _speaker_embedding(models: Models, name: str, device: str) -> tuple[bool, str]:
    """Compare the voice of a call's first half with that of its second."""
    samples = np.concatenate(list(plain_wav(_CALL.read_bytes(), _RATE_HZ) or ()))
    halves = [windows(half)[0] for half in np.array_split(samples, 2)]
    async with models.lend(name, SPEAKER_EMBEDDING.name, device=device) as model:
        began = time.perf_counter()
        first, second = [mean_voice(await model.embed(half)) for half in halves]
        took_s = time.perf_counter() - began
    likeness = float(first @ second)
    pace = len(samples) / _RATE_HZ / took_s
    return likeness >= ALIKE, f"{pace:.0f} times as fast as speech; one voice is {likeness:.2f} like itself"


PROBES: Final[Mapping[str, Probe]] = {
    "chat": _chat,
    "code": _code,
    "embedding": _embedding,
    "rerank": _rerank,
    "document": _document,
    SPEAKER_EMBEDDING.name: _speaker_embedding,
    "transcription": _transcription,
    SPEECH_SYNTHESIS.name: _speech_synthesis,
}
