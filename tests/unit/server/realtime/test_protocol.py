import base64
import json

import pytest

from fastembed.pipeline.errors import Overloaded, StepFailed, Unprocessable
from fastembed.pipeline.payload.audio import (
    AudioBytes,
    Clear,
    Cleared,
    Commit,
    Committed,
    IdleTimeout,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
    Utterance,
    Word,
)
from fastembed.server.realtime.protocol import MAX_AUDIO_BYTES, Reaction
from tests.unit.server.realtime.talking import in_force, say, started, the_error, without_id


def test_audio_is_decoded_from_base64_whole_or_not_at_all() -> None:
    session = started()
    audio = base64.b64encode(b"sound").decode()
    (value,) = say(session, "input_audio_buffer.append", audio=audio, event_id="e").values
    assert (value.data, value.sniff, value.ref) == (b"sound", False, "e")
    assert say(session, "input_audio_buffer.append", audio="").values == []
    for wrong in ("a", "%%%%", "YQ", "YQ==YQ=="):
        assert the_error(say(session, "input_audio_buffer.append", audio=wrong))["code"] == "invalid_base64"
    for wrong in (None, 5, ["YQ=="]):
        assert the_error(say(session, "input_audio_buffer.append", audio=wrong))["param"] == "audio"


def test_a_message_of_15_mib_is_the_largest() -> None:
    session = started()
    most = base64.b64encode(bytes(MAX_AUDIO_BYTES)).decode()
    assert len(say(session, "input_audio_buffer.append", audio=most).values[0].data) == MAX_AUDIO_BYTES
    assert the_error(say(session, "input_audio_buffer.append", audio=most + "AAAA"))["code"] == "audio_too_large"
    assert the_error(session.on_bytes(bytes(MAX_AUDIO_BYTES + 1)))["code"] == "audio_too_large"


def test_binary_messages_are_audio_of_a_format_to_find_out() -> None:
    (value,) = started().on_bytes(b"\x1a\x45").values
    assert isinstance(value, AudioBytes)
    assert value.sniff
    assert started().on_bytes(b"") == Reaction()


def test_commit_and_clear_carry_the_clients_event_id() -> None:
    session = started()
    assert say(session, "input_audio_buffer.commit", event_id="c").values == [Commit("c")]
    assert say(session, "input_audio_buffer.clear").values == [Clear(None)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_json"),
        ("{]", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("null", "invalid_event"),
        ('"text"', "invalid_event"),
        ("{}", "missing_required_parameter"),
        ('{"type": 5}', "unknown_event"),
        ('{"type": "session.delete"}', "unknown_event"),
        ('{"type": "conversation.item.create", "item": {}}', "unsupported_event"),
        ('{"type": "session.update"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.commit", "foo": 1}', "unknown_parameter"),
        ('{"type": "input_audio_buffer.clear", "event_id": 7}', "invalid_value"),
        ('{"type": "conversation.item.retrieve", "item_id": "nobody"}', "item_not_found"),
        ('{"type": "conversation.item.delete", "item_id": {}}', "item_not_found"),
    ],
)
def test_nonsense_is_an_error(text: str, code: str) -> None:
    assert the_error(started().on_text(text))["code"] == code


def test_an_utterance_from_its_start_to_its_words() -> None:
    session = started()
    heard = [
        SpeechStarted("u", 100),
        TranscriptDelta("u", "hello", "m"),
        SpeechStopped("u", 1_600),
        Committed("u", 100, 1_600),
        TranscriptDelta("u", " world", "m"),
        Transcript("u", "hello world", "m", "en", 100, 1_600, (Word("hello", 200, 600),)),
    ]
    events = [without_id(event) for value in heard for event in session.on_heard(value)]
    item = {
        "id": "u",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    name = "conversation.item.input_audio_transcription"
    assert events == [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": 100, "item_id": "u"},
        {"type": f"{name}.delta", "item_id": "u", "content_index": 0, "delta": "hello", "model": "m"},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 1_600, "item_id": "u"},
        {"type": "input_audio_buffer.committed", "item_id": "u", "previous_item_id": None},
        {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        {"type": "conversation.item.done", "previous_item_id": None, "item": item},
        {"type": f"{name}.delta", "item_id": "u", "content_index": 0, "delta": " world", "model": "m"},
        {
            "type": f"{name}.completed",
            "item_id": "u",
            "content_index": 0,
            "transcript": "hello world",
            "usage": {"type": "duration", "seconds": 1.5},
            "languages": [{"code": "en"}],
            "model": "m",
            "words": [{"word": "hello", "start": 0.2, "end": 0.6}],
        },
    ]
    retrieved = say(session, "conversation.item.retrieve", item_id="u").events[0]
    assert retrieved["item"]["content"][0]["transcript"] == "hello world"


def test_a_failed_utterance_is_an_event_of_its_own() -> None:
    (event,) = started().on_heard(TranscriptFailed("u", "no", "c", 503))
    assert event["type"] == "conversation.item.input_audio_transcription.failed"
    assert event["error"] == {"type": "server_error", "code": "c", "message": "no", "param": None}


def test_clears_and_timeouts_are_events_and_utterances_are_not() -> None:
    session = started()
    assert [event["type"] for event in session.on_heard(Cleared())] == ["input_audio_buffer.cleared"]
    (timeout,) = session.on_heard(IdleTimeout("u", 0, 5_000))
    assert without_id(timeout) == {
        "type": "input_audio_buffer.timeout_triggered",
        "audio_start_ms": 0,
        "audio_end_ms": 5_000,
        "item_id": "u",
    }
    assert session.on_heard(Utterance("u", None, 0, 1, final=True, settings=SpeechSettings())) == []


def test_every_event_has_an_id_of_its_own() -> None:
    session = started()
    events = [*session.on_heard(Committed("u", 0, 1)), *session.on_heard(Cleared()), *session.on_text("").events]
    assert len({event["event_id"] for event in events}) == len(events) == 5


def test_a_client_that_speaks_beta_is_answered_in_beta_from_then_on() -> None:
    session = started()
    reaction = say(
        session,
        "transcription_session.update",
        session={
            "input_audio_format": "g711_alaw",
            "turn_detection": None,
            "input_audio_transcription": {"model": "m"},
        },
    )
    (event,) = session.on_heard(in_force(reaction.values[0]))
    assert event["type"] == "transcription_session.updated"
    assert event["session"]["input_audio_format"] == "g711_alaw"
    assert event["session"]["input_audio_transcription"] == {"model": "m", "language": None, "prompt": None}
    kinds = [event["type"] for event in session.on_heard(Committed("u", 0, 1))]
    assert kinds == ["input_audio_buffer.committed", "conversation.item.created"]


def test_only_the_last_items_are_remembered() -> None:
    session = started()
    for number in range(500):
        session.on_heard(Committed(f"u{number}", 0, 1))
    assert say(session, "conversation.item.retrieve", item_id="u499").events[0]["type"].endswith("retrieved")
    assert the_error(say(session, "conversation.item.retrieve", item_id="u0"))["code"] == "item_not_found"


def test_dropped_audio_is_told_and_internals_are_not() -> None:
    session = started()
    (notice,) = session.on_lost(Overloaded("found 63 items"))
    assert (notice["type"], notice["code"]) == ("fastembed.notice", "audio_dropped")
    (event,) = session.on_lost(StepFailed("vad", RuntimeError("/secret/path")))
    assert "secret" not in json.dumps(event)
    assert event["error"]["type"] == "server_error"


def test_a_result_that_no_session_knows_is_an_error_and_not_silence() -> None:
    session = started()
    with pytest.raises(Unprocessable, match="found a result of dict, expected a transcript") as refusal:
        session.on_heard({"got": "hello"})
    (event,) = session.on_lost(refusal.value)
    assert "found a result of dict" in event["error"]["message"]
    assert session.on_heard(Commit()) == []
