"""What a session of given settings looks like before it begins."""

from __future__ import annotations

from typing import Any

from fastembed.server.realtime import events
from fastembed.server.realtime.dialogue_settings import DialogueSettings
from fastembed.server.realtime.settings import SessionSettings, read_session


def describe_session(session: object) -> dict[str, Any]:
    """Return the session object that settings lead to. InvalidInput names the field at fault."""
    fields = read_session(session)
    if fields.raw("type") == "transcription":
        settings = SessionSettings().updated(session)
        return settings.shown(settings.speech, events.new_id("sess"))
    dialogue = DialogueSettings().updated(fields)
    settings = SessionSettings().updated_input(fields, fields.object("audio"))
    return dialogue.shown(events.new_id("sess"), settings.shown_input(settings.speech), "auto")
