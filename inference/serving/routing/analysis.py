"""What a request contains, and what a model must be able to do to answer it. Pure, and fast enough for every request.

`profile` looks at the request, `requirements` at the profile. Token counts are estimates: a quarter of the text's UTF-8
bytes (a Chinese character has three of them), 260 a picture or a frame, 4 a second of speech, 700 a page of an attached
document, which has one for every 60 kB. The models count exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from fastembed.inference.library.specs import AUTO
from fastembed.inference.library.tasks import Task
from fastembed.inference.serving.routing.signals import Signal, complexity_of, is_about_code, read
from fastembed.pipeline.payload.audio import Utterance
from fastembed.pipeline.payload.chat import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    Message,
    TextPart,
    VideoPart,
)
from fastembed.pipeline.payload.document import Document, File
from fastembed.pipeline.payload.embedding import EmbeddingRequest

Modality = Literal["text", "image", "audio", "video", "document"]
Reasoning = Literal["simple", "moderate", "complex"]

MODERATE_FROM: Final = 0.25
COMPLEX_FROM: Final = 0.5
PICTURE_TOKENS: Final = 260  # gemma's 256 and their marks
SPEECH_TOKENS_A_SECOND: Final = 4
ANSWER_TOKENS: Final = 512
"""What an answer takes where the request does not limit it."""
_PAGE_BYTES: Final = 60_000
_PAGE_TOKENS: Final = 700


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What working on a request takes. pictures: frames of videos included. answer_tokens: of all choices together."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    pictures: int = 0
    audio_s: float = 0.0
    pages: int = 0
    inputs: int = 1


@dataclass(frozen=True, slots=True)
class ContentProfile:
    """What a request contains.

    complexity: 0 to 1, the sum of `signals`. estimated_tokens: of the prompt with everything in it. tools, schema,
    logprobs: what the request asks for beyond text.
    """

    task: Task
    modalities: tuple[Modality, ...]
    estimated_tokens: int
    resources: RequestCost
    complexity: float = 0.0
    signals: tuple[Signal, ...] = ()
    code: bool = False
    tools: bool = False
    schema: bool = False
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class ModelRequirements:
    """What a model must be able to do. tokens: of the prompt, picture_tokens: those among them that stand for pictures.

    answer_tokens: room that the answer wants.
    """

    task: Task
    vision: bool = False
    audio: bool = False
    video: bool = False
    document: bool = False
    code: bool = False
    reasoning: Reasoning = "simple"
    tokens: int = 0
    picture_tokens: int = 0
    answer_tokens: int = 0
    tools: bool = False
    schema: bool = False
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller wants.

    model: a name, or "auto". model_fallback: False: the named model or none. None: also what its `fallback:` declares.
    True: any other that can answer, a pocket model as the last.
    """

    model: str = AUTO
    modality_routing: Literal["auto", "force_multimodal", "force_text"] = "auto"
    npu_priority: Literal["high", "normal", "low"] = "normal"
    model_fallback: bool | None = None


Request = ChatRequest | EmbeddingRequest | File | Document | Utterance


def profile(request: Request) -> ContentProfile:
    """Look at a request; raises nothing that a well-formed request could cause."""
    if isinstance(request, ChatRequest):
        return _of_chat(request)
    if isinstance(request, EmbeddingRequest):
        return of_texts("embedding", request.inputs)
    if isinstance(request, Utterance):
        return of_speech(len(request.samples) / request.rate_hz)
    if isinstance(request, Document):
        return of_document(request.file.size_bytes, request.page_count)
    return of_document(request.size_bytes)


def of_texts(task: Task, texts: Iterable[str | Sequence[int]]) -> ContentProfile:
    """Look at texts (or token ids) to embed, to rank, or to speak."""
    counts = [count_tokens(text) if isinstance(text, str) else len(text) for text in texts]
    total = sum(counts)
    return ContentProfile(task, ("text",), total, RequestCost(prompt_tokens=total, inputs=len(counts)))


def of_speech(seconds: float) -> ContentProfile:
    """Look at speech to write down."""
    tokens = round(seconds * SPEECH_TOKENS_A_SECOND)
    return ContentProfile("transcription", ("audio",), tokens, RequestCost(answer_tokens=tokens, audio_s=seconds))


def of_document(size_bytes: int, pages: int = 0) -> ContentProfile:
    """Look at a document to read; where its pages are not known, one for every 60 kB."""
    pages = pages or _pages(size_bytes)
    needs = RequestCost(answer_tokens=pages * _PAGE_TOKENS, pictures=pages, pages=pages)
    return ContentProfile("document", ("document",), pages * PICTURE_TOKENS, needs)


def _pages(size_bytes: int) -> int:
    return max(1, -(-size_bytes // _PAGE_BYTES))


def requirements(found: ContentProfile) -> ModelRequirements:
    """Map what a request contains to what a model must be able to do."""
    complexity = found.complexity
    return ModelRequirements(
        task=found.task,
        vision="image" in found.modalities,
        audio="audio" in found.modalities,
        video="video" in found.modalities,
        document="document" in found.modalities,
        code=found.code,
        reasoning="complex" if complexity >= COMPLEX_FROM else "moderate" if complexity >= MODERATE_FROM else "simple",
        tokens=found.estimated_tokens,
        picture_tokens=found.resources.pictures * PICTURE_TOKENS,
        answer_tokens=found.resources.answer_tokens,
        tools=found.tools,
        schema=found.schema,
        logprobs=found.logprobs,
    )


def preferences(request: Request) -> Preferences:
    """Return what the caller says about the choice."""
    if isinstance(request, ChatRequest):
        return Preferences(request.model, request.modality_routing, request.npu_priority, request.model_fallback)
    if isinstance(request, EmbeddingRequest):
        return Preferences(request.model)
    return Preferences((request.settings.model or AUTO) if isinstance(request, Utterance) else AUTO)


def count_tokens(text: str) -> int:
    """Estimate a text's tokens, at least 1."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return max(1, -(-size // 4))


def _of_chat(request: ChatRequest) -> ContentProfile:
    parts = [part for message in request.messages for part in message.parts]
    images = sum(isinstance(part, ImagePart) for part in parts)
    videos = [part for part in parts if isinstance(part, VideoPart)]
    sounds = [part for part in parts if isinstance(part, AudioPart)]
    pages = sum(_pages(len(part.data)) for part in parts if isinstance(part, DocumentPart))
    frames = sum(len(video.frames) for video in videos)
    seconds = sum(len(sound.samples) / sound.rate_hz for sound in sounds)
    offered = request.tool_choice != "none" and bool(request.tools)
    tokens = (
        _text_tokens(request)
        + PICTURE_TOKENS * (images + frames)
        + round(seconds * SPEECH_TOKENS_A_SECOND)
        + _PAGE_TOKENS * pages
        + (_tool_tokens(request) if offered else 0)
    )
    question = _question(request)
    reading = read(question)
    media = images + len(videos) + len(sounds)
    signals = complexity_of(request, reading, tokens=count_tokens(question), media=media)
    answer = (request.sampling.max_tokens or ANSWER_TOKENS) * request.count
    return ContentProfile(
        task="chat",
        modalities=_modalities(image=images, audio=len(sounds), video=len(videos), document=pages),
        estimated_tokens=tokens,
        resources=RequestCost(tokens, answer, images + frames, round(seconds, 3), pages, len(request.messages) or 1),
        complexity=round(min(1.0, max(0.0, sum(signal.value for signal in signals))), 3),
        signals=signals,
        code=is_about_code(request, reading),
        tools=offered,
        schema=request.json is not None,
        logprobs=request.sampling.logprobs,
    )


def _modalities(*, image: int, audio: int, video: int, document: int) -> tuple[Modality, ...]:
    counts: tuple[tuple[Modality, int], ...] = (
        ("text", 1),
        ("image", image),
        ("audio", audio),
        ("video", video),
        ("document", document),
    )
    return tuple(name for name, count in counts if count)


def _question(request: ChatRequest) -> str:
    """Return what is asked: the last user's own text, without that of attached files, or the text to complete."""
    last = next((message for message in reversed(request.messages) if message.role == "user"), None)
    if last is None:
        return request.prompt or ""
    return "".join(part.text for part in last.parts if isinstance(part, TextPart) and not part.file)


def _text_tokens(request: ChatRequest) -> int:
    return sum(map(_message_tokens, request.messages)) + (count_tokens(request.prompt) if request.prompt else 0)


def _message_tokens(message: Message) -> int:
    """Estimate a message with the marks around it."""
    called = sum(count_tokens(call.arguments) + count_tokens(call.name) for call in message.tool_calls)
    return 4 + count_tokens(message.text) + called


def _tool_tokens(request: ChatRequest) -> int:
    return sum(
        8 + count_tokens(tool.name + tool.description) + len(orjson.dumps(tool.parameters)) // 4
        for tool in request.tools
    )
