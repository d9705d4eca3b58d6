"""Make the conversation that a chat model answers from passages."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.payload.asking import GroundedRequest, Retrieved
from fastembed.pipeline.payload.chat import ChatRequest, Message, Sampling, TextPart

INSTRUCTIONS: Final = (
    "Answer the question from the numbered sentences only. Use their words, names and numbers. "
    "One or two short sentences. If they do not answer it, say: not in your files."
)


@operator
def prompt(
    found: Retrieved,
    *,
    instructions: str = INSTRUCTIONS,
    sentences: Annotated[int, Field(ge=1, le=40)] = 6,
    max_tokens: Annotated[int, Field(gt=0)] = 96,
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0,
) -> GroundedRequest:
    """Make the conversation that a chat model answers: instructions, the best sentences, numbered, and the question.

    In: `Retrieved`. Out: `GroundedRequest`, a `ChatRequest` that remembers what was retrieved: `answer` checks the
    model's words by it, `generate` just has them written.

    Args:
        instructions: the system's turn. sentences: of the passages, at most. max_tokens: of the answer. temperature:
            0 always takes the likeliest token.

    """
    request = found.request or ChatRequest(model=found.question.model)
    numbered = "\n".join(f"[{number}] {part.text}" for number, part in enumerate(found.evidence[:sentences], start=1))
    text = f"{numbered}\n\nQuestion: {found.question.text.strip()}"
    return GroundedRequest(
        messages=(Message("system", (TextPart(instructions),)), Message("user", (TextPart(text),))),
        model=found.question.model,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens),
        model_fallback=request.model_fallback,
        modality_routing=request.modality_routing,
        npu_priority=request.npu_priority,
        whole=request.whole,
        retrieved=found,
    )
