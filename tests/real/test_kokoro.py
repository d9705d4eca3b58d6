"""Kokoro-82M out of packages, through the whole server: what it says is understood by the Whisper that ships."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from fastembed import FastEmbedServer
from tests.real.hearing import words

SENTENCE = "She opened the window and looked at the children playing in the garden."
HARD = "## Bill\n\nDr. Smith paid **$1,234.50** on 2026-12-05, e.g. for 3 km of cable."
LONG = "He was not an ill disposed young man. The train to the city leaves every hour from the first platform."
PIPELINES = """
version: 1
pipelines:
  speech: {source: {http: POST /v1/audio/speech}, operators: [speak], sink: reply}
  ears:
    source: {http: POST /v1/audio/transcriptions, max_body: 25MiB, key: item.id}
    operators: [listen, transcribe: {model: whisper-base}]
    sink: reply
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    config = tmp_path_factory.mktemp("kokoro") / "pipelines.yaml"
    config.write_text(PIPELINES)
    with FastEmbedServer(config=config, port=0) as running:
        yield openai.OpenAI(base_url=f"{running.url}/v1", api_key="-", max_retries=0)


def heard(client: openai.OpenAI, text: str, form: str = "wav", voice: str = "alloy") -> str:
    sound = client.audio.speech.create(model="tts-1", voice=voice, input=text, response_format=form).content
    return client.audio.transcriptions.create(model="auto", file=(f"a.{form}", sound), language="en").text


@pytest.mark.parametrize(("form", "voice"), [("mp3", "echo"), ("opus", "bf_emma")])
def test_a_sentence_is_understood_word_for_word(client: openai.OpenAI, form: str, voice: str) -> None:
    assert words(heard(client, SENTENCE, form, voice)) == words(SENTENCE)


def test_a_text_of_several_sentences_loses_no_word_at_its_cuts(client: openai.OpenAI) -> None:
    assert words(heard(client, LONG)) == words(LONG)


def test_money_dates_units_and_abbreviations_are_said_as_words(client: openai.OpenAI) -> None:
    text = heard(client, HARD).lower()
    for found in ("bill", "smith", "1,234", "50", "december 5", "2026", "for example", "cable"):
        assert found in text.replace("$1234", "$1,234"), text
    assert "asterisk" not in text
