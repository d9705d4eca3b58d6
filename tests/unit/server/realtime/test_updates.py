"""A session's settings: what they are, who may change them to what, how that is told."""

from typing import Any

import pytest

from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.payload.audio import SpeechProblem, SpeechSettings, TurnDetection
from tests.unit.server.realtime.talking import in_force, protocol, say, started, the_error, update

RATES = "8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000"


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
        ({"type": "realtime"}, "invalid_session_type", "session.type"),
        ("text", "invalid_type", "session"),
        (None, "missing_required_parameter", "session"),
        (
            {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 12_345}}}},
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
            "decimal_above_max_value",
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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (3, "session: found a number, expected an object"),
        (
            {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 12345}}}},
            f"session.audio.input.format.rate: found 12345, expected one of {RATES}",
        ),
        (
            {"type": "transcription", "audio": {"input": {"format": {"type": "audio/wma"}}}},
            (
                "session.audio.input.format.type: found 'audio/wma', expected one of audio/pcm, audio/pcmu, "
                "audio/pcma, audio/webm, audio/ogg"
            ),
        ),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": "x"}}}},
            "session.audio.input.turn_detection.threshold: found 'x', expected a number from 0 to 1",
        ),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "server_vad", "treshold": 0.4}}}},
            (
                "session.audio.input.turn_detection.treshold: found the unknown field 'treshold'; did you mean "
                "threshold?"
            ),
        ),
        (
            {"type": "transcription", "include": ["tokens"]},
            "session.include[0]: found 'tokens', expected item.input_audio_transcription.logprobs",
        ),
        (
            {"type": "transcription", "audio": {"input": {"transcription": {"keywords": ["Ada", 3]}}}},
            "session.audio.input.transcription.keywords[1]: found 3, expected a string",
        ),
    ],
)
def test_a_wrong_update_is_told_in_the_words_of_every_endpoint(fields: Any, message: str) -> None:
    error = say(started(), "session.update", session=fields).events[0]["error"]
    assert error["message"] == message


def test_names_to_expect_and_the_only_language_of_a_list_are_heeded() -> None:
    (settings,) = update(started(), transcription={"languages": ["de"], "keywords": ["Ada", "Babbage"]}).values
    assert (settings.language, settings.prompt) == ("de", "Ada, Babbage")


def test_the_beta_spelling_turns_parts_off_and_leaves_the_others() -> None:
    session = started()
    off = {"input_audio_format": "g711_alaw", "input_audio_transcription": None}
    (settings,) = say(session, "transcription_session.update", session=off).values
    assert (settings.format, settings.rate_hz, settings.model) == ("pcma", 8_000, None)
    assert settings.turn_detection is not None


def test_a_model_without_turn_detection_is_committed_by_its_client_unless_it_says_otherwise() -> None:
    session = started()
    update(session, transcription={"model": "gpt-realtime-whisper"})
    assert session._settings.speech.turn_detection is None
    update(session, transcription={"model": "gpt-realtime-whisper"}, turn_detection={"type": "server_vad"})
    assert session._settings.speech.turn_detection is not None
    update(session, transcription={"model": "gpt-4o-transcribe"})
    assert session._settings.speech.turn_detection is not None
    (settings,) = protocol().start("gpt-realtime-whisper").values
    assert settings.turn_detection is None


def test_false_turns_detection_off_as_null_does() -> None:
    session = started()
    update(session, turn_detection=False)
    assert session._settings.speech.turn_detection is None
