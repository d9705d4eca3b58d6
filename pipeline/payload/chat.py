"""What the chat pipelines carry: a conversation in, pieces of the answer out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.payload.grounding import Grounding

ChatRole = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text of a message. file: the name of the attached file that it was read from; "": none."""

    text: str
    file: str = ""

    @classmethod
    def of_file(cls, name: str, text: str) -> TextPart:
        """Return what a model gets to read of an attached file: where it begins and ends, and its name."""
        return cls(f'\nFile "{name}":\n{text.strip()}\nEnd of file "{name}".\n', name)


@dataclass(frozen=True, slots=True, eq=False)
class ImagePart:
    """A picture: pixels uint8 [height, width, 3], RGB. detail: as the request says; the model may not know it."""

    pixels: NDArray[np.uint8]
    detail: Literal["auto", "low", "high"] = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class AudioPart:
    """Sound: samples float32 [n], mono, -1 to 1, at rate_hz."""

    samples: NDArray[np.float32]
    rate_hz: int = 16_000


@dataclass(frozen=True, slots=True, eq=False)
class VideoPart:
    """Sampled frames: uint8 [count, height, width, 3], RGB, and their times in seconds."""

    frames: NDArray[np.uint8]
    times_s: Sequence[float]


@dataclass(frozen=True, slots=True, eq=False)
class DocumentPart:
    """An attached file that is still to be read: a PDF, an Office file, a page of HTML. Its bytes and its name."""

    data: bytes
    name: str


Part = TextPart | ImagePart | AudioPart | VideoPart | DocumentPart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for; arguments is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. tool_calls: of an assistant's turn; tool_call_id: which call a tool's turn answers."""

    role: ChatRole
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Return the text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; parameters is a JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. temperature 0: always the likeliest. stop: texts that end the answer and are not shown.

    top_k: only so many of the likeliest, None: as the model's files say, 0: all. min_p: only those at least so probable
    beside the likeliest. repetition_penalty: above 1, what is there already becomes less likely; None: the model's own.
    ignore_eos: go on to max_tokens, whatever the model wants.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: bool = False
    top_logprobs: int = 0
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to continue.

    json: "object" for any JSON object, a JSON Schema for that shape, None for text. tool_choice: "auto", "none",
    "required", or the name of a tool. prompt: instead of messages, text to be completed as it is (/v1/completions).
    model_fallback: False, the named model or none; None, also what its declaration falls back to; True, any that can
    answer.
    whole: the answer is delivered only when it is complete.
    continues: the answer goes on with a last message of the assistant; False: it is one of its own behind it.
    template: what else the model's chat template may look at (`enable_thinking`, ...).
    transcriber: the speech model that writes down its sound for a model that does not hear; "": none.
    notes: what was done to it on its way; they come first in the answer's `ChatStarted.route`.
    """

    messages: tuple[Message, ...] = ()
    model: str = "auto"
    sampling: Sampling = Sampling()
    count: int = 1
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    named_tool: bool = False
    parallel_tool_calls: bool = True
    json: Literal["object"] | Mapping[str, Any] | None = None
    prompt: str | None = None
    echo: bool = False
    whole: bool = False
    continues: bool = True
    reasoning_effort: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    model_fallback: bool | None = None
    modality_routing: Literal["auto", "force_multimodal", "force_text"] = "auto"
    npu_priority: Literal["high", "normal", "low"] = "normal"
    transcriber: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """The natural logarithm of a chosen token's probability, and the likeliest others where the model tells."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of one choice's answer: text, or reasoning, or a part of a tool call. Pieces are append-only."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_index: int | None = None
    tool_id: str | None = None
    tool_name: str | None = None
    tool_arguments: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()

    def __reduce__(self) -> tuple[type[ChatDelta], tuple[object, ...]]:
        """Pickle as a call: a quarter of the time that dataclasses take, for what a process sends with each token."""
        text, tools = (self.index, self.text, self.reasoning), (self.tool_index, self.tool_id, self.tool_name)
        return ChatDelta, (*text, *tools, self.tool_arguments, self.logprobs)


@dataclass(frozen=True, slots=True)
class ChatStarted:
    """Comes first: which model answers, on which device, and why, when it is not the one that was asked for."""

    model: str
    device: str = "CPU"
    state: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class ChatFinished:
    """Ends one choice. Token counts are of the whole request so far; cached_tokens came from the prefix cache.

    cut: why it was ended before its time, if it was. stop: the stop string that ended it, if one did.
    grounding: what a checked answer rests on.
    """

    index: int
    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cut: str = ""
    stop: str = ""
    grounding: Grounding | None = None


ChatEvent = ChatStarted | ChatDelta | ChatFinished
