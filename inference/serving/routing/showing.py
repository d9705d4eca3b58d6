"""What of a request its model gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fastembed.inference.serving.routing.decision import Decision
from fastembed.pipeline.payload.chat import ChatRequest, ImagePart, Part, VideoPart

_PARTS: Final[Mapping[str, type[Part]]] = {"image": ImagePart, "video": VideoPart}


def shown(request: ChatRequest, decision: Decision) -> ChatRequest:
    """Return the request without what the decision leaves out."""
    if not decision.left_out:
        return request
    hidden = tuple(_PARTS[modality] for modality in decision.left_out)
    messages = tuple(
        replace(message, parts=tuple(part for part in message.parts if not isinstance(part, hidden)))
        for message in request.messages
    )
    return replace(request, messages=messages)
