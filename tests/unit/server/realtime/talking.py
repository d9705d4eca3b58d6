"""Sessions of the realtime protocol, and what a client says in them."""

import itertools
import json
from typing import Any

from fastembed.pipeline.payload.audio import SpeechSettings, TurnDetection
from fastembed.server.realtime.protocol import Protocol, Reaction


def protocol(**options: Any) -> Protocol:
    count = itertools.count(1)
    return Protocol("sess_1", new_id=lambda prefix: f"{prefix}_{next(count)}", **options)


def started(**options: Any) -> Protocol:
    """A session that is created, with its settings in force."""
    session = protocol(**options)
    (settings,) = session.start().values
    session.on_heard(in_force(settings))
    return session


def in_force(settings: SpeechSettings) -> SpeechSettings:
    """What the pipeline makes of settings: the steps' defaults, the model's name."""
    turns = settings.turn_detection
    if turns is not None:
        turns = TurnDetection(
            0.5 if turns.threshold is None else turns.threshold,
            300 if turns.prefix_padding_ms is None else turns.prefix_padding_ms,
            500 if turns.silence_duration_ms is None else turns.silence_duration_ms,
            turns.idle_timeout_ms,
        )
    model = "whisper" if settings.model == "auto" else settings.model
    return SpeechSettings(
        settings.format, settings.rate_hz, model, settings.language, settings.prompt, turns, settings.ref
    )


def say(client: Protocol, kind: str, **fields: Any) -> Reaction:
    return client.on_text(json.dumps({"type": kind, **fields}))


def update(session: Protocol, **heard: Any) -> Reaction:
    return say(session, "session.update", event_id="mine", session={"type": "transcription", "audio": {"input": heard}})


def the_error(reaction: Reaction) -> dict[str, Any]:
    assert reaction.values == []
    (event,) = reaction.events
    assert event["type"] == "error"
    assert event["event_id"].startswith("event_")
    assert event["error"].keys() == {"type", "code", "message", "param", "event_id"}
    return event["error"]


def without_id(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "event_id"}
