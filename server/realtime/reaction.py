"""What a client's message leads to."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastembed.pipeline.payload.audio import SpeechInput
from fastembed.server.realtime.events import Event


@dataclass(slots=True)
class Reaction:
    """The result of a message: values for the pipeline and events for the client, both in order."""

    values: list[SpeechInput] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
