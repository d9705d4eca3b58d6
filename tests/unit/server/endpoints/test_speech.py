"""The wire of POST /v1/audio/speech."""

import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.voice import SpeakRequest
from fastembed.server.endpoints.speech import SoundOptions, decode
from tests.unit.server.strict import strict


def test_only_the_input_is_needed():
    assert decode(strict({"input": "Hi."})) == (SpeakRequest("Hi.", quick=True), SoundOptions())


def test_every_field_of_openai_is_read():
    request, options = decode(
        strict(
            {
                "input": "Hi.",
                "model": "kokoro",
                "voice": {"id": "alloy"},
                "response_format": "opus",
                "speed": 1.5,
                "stream_format": "sse",
                "instructions": "calm",
            }
        )
    )
    assert request == SpeakRequest("Hi.", "kokoro", "alloy", 1.5, quick=True)
    assert (options.form, options.events) == ("opus", True)
    assert "instructions: ignored" in options.warning


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": None}, "input: found no input"),
        ({"input": ""}, "input: found an empty string, expected a text to read aloud"),
        ({"input": 5}, "input: found 5, expected a string"),
        ({"input": "x" * 100_001}, "input: found 100001 characters, expected at most 100000"),
        ({"speed": 0.2}, "speed: found 0.2, expected at least 0.25"),
        ({"speed": 5}, "speed: found 5, expected at most 4"),
        ({"response_format": "ogg"}, "response_format: found 'ogg', expected one of mp3, opus, aac, flac, wav, pcm"),
        ({"stream_format": "json"}, "stream_format: found 'json', expected one of audio, sse"),
        ({"voice": 3}, "voice: found 3, expected a string"),
        ({"voice": {}}, r"voice.id: found no id"),
        ({"instructions": 1}, "instructions: found 1, expected a string"),
        ({"respons_format": "mp3"}, "did you mean response_format"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(InvalidInput, match=message):
        decode(strict({"input": "Hi.", **fields}))
