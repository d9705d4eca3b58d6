import base64
import itertools
import json
from typing import Any

import pytest

from pipeline.errors import ModelNotFound, Overloaded, StepFailed
from pipeline.payload.audio import (
    AudioBytes,
    Clear,
    Cleared,
    Commit,
    Committed,
    IdleTimeout,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
    TurnDetection,
    Utterance,
    Word,
)
from server.realtime.protocol import MAX_AUDIO_BYTES, Protocol, Reaction


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


def test_a_session_is_created_when_its_settings_are_in_force() -> None:
    session = protocol()
    reaction = session.start()
    assert reaction.events == []
    (event,) = session.on_heard(in_force(reaction.values[0]))
    assert event["type"] == "session.created"
    assert event["session"] == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": "sess_1",
        "expires_at": 0,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "whisper", "language": None, "prompt": None},
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                },
            }
        },
        "include": [],
    }


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    session = started()
    update(session, transcription={"model": "large", "language": "de", "prompt": "Ada"})
    (settings,) = update(
        session, format={"type": "audio/pcmu"}, turn_detection={"type": "server_vad", "threshold": 0.7}
    ).values
    assert (settings.format, settings.rate_hz, settings.model) == ("pcmu", 8_000, "large")
    assert (settings.language, settings.prompt) == ("de", "Ada")
    assert settings.turn_detection == TurnDetection(threshold=0.7)
    (settings,) = update(session, turn_detection=None).values
    assert settings.turn_detection is None
    assert settings.format == "pcmu"


def test_an_update_is_answered_with_the_whole_session_as_it_is_in_force() -> None:
    session = started()
    (settings,) = update(session, format={"type": "audio/pcm", "rate": 16_000}).values
    (event,) = session.on_heard(in_force(settings))
    assert event["type"] == "session.updated"
    assert event["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
    assert event["session"]["audio"]["input"]["transcription"]["model"] == "whisper"


def test_null_transcription_only_detects_speech() -> None:
    session = started()
    (settings,) = update(session, transcription=None).values
    assert settings.model is None
    (event,) = session.on_heard(in_force(settings))
    assert event["session"]["audio"]["input"]["transcription"] is None


def test_semantic_turns_become_a_longer_or_shorter_pause_and_are_shown_as_asked() -> None:
    session = started()
    pauses = []
    for eagerness in ("low", "medium", "high"):
        (settings,) = update(session, turn_detection={"type": "semantic_vad", "eagerness": eagerness}).values
        pauses.append(settings.turn_detection.silence_duration_ms)
        (event,) = session.on_heard(in_force(settings))
        assert event["session"]["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": eagerness}
    assert pauses == sorted(pauses, reverse=True)


def test_what_is_shown_can_be_sent_back() -> None:
    session = started()
    for wanted in (
        {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
        {"format": {"type": "audio/pcma"}},
    ):
        (settings,) = update(session, **wanted).values
        (event,) = session.on_heard(in_force(settings))
        shown = event["session"]["audio"]["input"]
        assert update(session, **shown).events == []


def test_what_nothing_here_does_is_not_shown_as_done() -> None:
    session = started()
    wanted = {"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]}
    wanted["audio"] = {"input": {"noise_reduction": {"type": "near_field"}}}
    (settings,) = say(session, "session.update", session=wanted).values
    (event,) = session.on_heard(in_force(settings))
    assert event["session"]["include"] == []
    assert event["session"]["audio"]["input"]["noise_reduction"] is None


@pytest.mark.parametrize(
    ("session_fields", "code", "param"),
    [
        ({"type": "transcription", "foo": 1}, "unknown_parameter", "session.foo"),
        ({"audio": {}}, "missing_required_parameter", "session.type"),
        ({"type": "realtime"}, "invalid_value", "session.type"),
        ("text", "invalid_value", "session"),
        (None, "invalid_value", "session"),
        (
            {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 11_025}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "transcription", "audio": {"input": {"format": {"type": "audio/mp3"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"threshold": 0.5}}}},
            "missing_required_parameter",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "transcription", "audio": {"input": {"transcription": {"language": "not a language"}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "server_vad", "treshold": 0.4}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.treshold",
        ),
    ],
)
def test_a_wrong_update_names_the_field_at_fault_and_changes_nothing(session_fields, code: str, param: str) -> None:
    session = started()
    error = the_error(say(session, "session.update", event_id="mine", session=session_fields))
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert param in error["message"]
    (settings,) = update(session).values
    assert (settings.format, settings.rate_hz, settings.model) == ("pcm16", 24_000, "auto")


def test_a_model_that_is_not_there_changes_nothing() -> None:
    def check(settings: SpeechSettings) -> None:
        if settings.model == "huge":
            raise ModelNotFound("found model 'huge'", param="model")

    session = started(check=check)
    error = the_error(update(session, transcription={"model": "huge"}, turn_detection=None))
    assert (error["code"], error["type"]) == ("model_not_found", "not_found_error")
    (settings,) = update(session).values
    assert settings.model == "auto"
    assert settings.turn_detection is not None


def test_the_model_of_the_address_is_checked_too() -> None:
    def check(settings: SpeechSettings) -> None:
        raise ModelNotFound(f"found model {settings.model!r}")

    reaction = protocol(check=check).start("huge")
    assert reaction.events[0]["error"]["message"] == "found model 'huge'"
    assert reaction.values[0].model == "auto"


def test_settings_that_the_pipeline_refuses_are_an_error_that_names_the_clients_event() -> None:
    session = started()
    (settings,) = update(session, transcription={"language": "de"}).values
    (event,) = session.on_heard(SpeechProblem("English only", "unsupported_language", "language", settings.ref))
    assert event["error"]["event_id"] == "mine"


def test_a_session_is_created_even_if_the_pipeline_refuses_its_first_settings() -> None:
    session = protocol()
    (settings,) = session.start().values
    events = session.on_heard(SpeechProblem("no model", "model_not_found", "model", settings.ref))
    assert [event["type"] for event in events] == ["error", "session.created"]


def test_updates_that_are_not_answered_are_bounded() -> None:
    session = started()
    for _ in range(64):
        assert update(session).events == []
    error = the_error(update(session))
    assert error["type"] == "rate_limit_error"


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
    assert session.on_lost(Overloaded("found 63 items"))[0]["error"]["code"] == "audio_dropped"
    (event,) = session.on_lost(StepFailed("vad", RuntimeError("/secret/path")))
    assert "secret" not in json.dumps(event)
    assert event["error"]["type"] == "server_error"
