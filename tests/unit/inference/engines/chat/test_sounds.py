"""Sounds keep their places in a prompt, and take the tokens that genai counts."""

import numpy as np
import pytest

from fastembed.inference.engines.chat.pictures import SeenPrompt, with_places
from fastembed.inference.engines.chat.sounds import sounds_of, with_sounds
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, Message, TextPart


def sound(samples, rate_hz=16_000):
    return AudioPart(np.linspace(-1, 1, samples, dtype=np.float32), rate_hz)


def asked(*parts):
    return ChatRequest((Message("user", parts),))


def test_a_sound_stands_where_it_stood_between_words():
    parts = (TextPart("a "), sound(1280), TextPart(" b "), sound(2560))
    text = with_sounds(f"<user>{with_places(parts)}<end>", sounds_of(asked(*parts), 400))
    pad = "<|audio_pad|>"
    assert text == f"<user>a <|audio_start|>{pad}<|audio_end|> b <|audio_start|>{pad}{pad}<|audio_end|><end>"


@pytest.mark.parametrize(("samples", "tokens"), [(1, 1), (400, 1), (1280, 1), (1440, 2), (64_000, 50), (130_000, 102)])
def test_eight_frames_of_ten_milliseconds_are_a_token(samples, tokens):
    text = with_sounds(with_places((sound(samples),)), sounds_of(asked(sound(samples)), 400))
    assert text.count("<|audio_pad|>") == tokens


def test_a_long_sound_is_cut_at_the_windows_and_nothing_is_lost():
    whole = sound(150_000)
    ((*full, last),) = sounds_of(asked(whole), 400)
    assert [len(piece) for piece in (*full, last)] == [64_000, 64_000, 22_000]
    assert np.array_equal(np.concatenate([*full, last]), whole.samples)


def test_a_short_rest_is_lengthened_by_silence_to_what_a_spectrum_takes():
    ((_, rest),) = sounds_of(asked(sound(64_010)), 400)
    assert len(rest) == 400
    assert not rest[10:].any()


def test_other_rates_become_16_khz():
    ((piece,),) = sounds_of(asked(sound(48_000, 48_000)), 400)
    assert len(piece) == 16_000
    assert piece.dtype == np.float32


def test_texts_cannot_make_places():
    assert with_sounds(with_places((TextPart("a\uf8f1b"),)), []) == "ab"


def test_a_prompt_without_sound_is_given_one_of_no_length_since_genai_would_repeat_the_last():
    (silence,) = SeenPrompt("hello", (), ()).audios()
    assert list(silence.shape) == [0]
    (heard,) = SeenPrompt("hello", (), (np.ones(400, np.float32),)).audios()
    assert list(heard.shape) == [400]
