"""The voices of a folder, the silence around speech, and words that no dictionary has."""

import json

import numpy as np
import pytest

from fastembed.inference.engines.voice.engine import OPENAI_VOICES, VoiceList, trimmed
from fastembed.inference.engines.voice.kind import SPEECH_SYNTHESIS, voices_of
from fastembed.inference.engines.voice.kokoro import Speller
from fastembed.inference.library.hub.voice_packages import KOKORO
from fastembed.inference.library.tasks import TASKS
from fastembed.pipeline.errors import InvalidInput
from tests.voices import make_voice


def test_a_kokoro_folder_is_recognised_and_lists_the_voices_that_can_be_read(tmp_path):
    folder = make_voice(tmp_path / "kokoro", ("af_alloy", "bm_fable", "jf_alpha"))
    assert TASKS.recognise(folder) == SPEECH_SYNTHESIS.name
    found = voices_of(folder)
    assert found.names == ("af_alloy", "bm_fable")
    assert dict(found.aliases) == {"alloy": "af_alloy", "fable": "bm_fable"}


def test_a_piper_folder_is_recognised_and_its_one_voice_answers_to_all_names(tmp_path):
    (tmp_path / "en_US-joe-medium.onnx").write_bytes(b"")
    (tmp_path / "en_US-joe-medium.onnx.json").write_text(json.dumps({"dataset": "joe"}))
    assert TASKS.recognise(tmp_path) == SPEECH_SYNTHESIS.name
    found = voices_of(tmp_path)
    assert {found.resolve(name) for name in (*OPENAI_VOICES, "", "JOE", "en_us-joe-medium")} == {"joe"}


def test_every_voice_of_openai_has_one_of_those_that_are_pulled(tmp_path):
    pulled = [target for wheel in KOKORO.wheels for target in wheel.members.values() if target.startswith("voices/")]
    folder = make_voice(tmp_path / "kokoro", tuple(name.removeprefix("voices/")[:-4] for name in pulled))
    found = voices_of(folder)
    assert set(found.aliases) == set(OPENAI_VOICES)
    assert len(set(found.aliases.values())) == len(OPENAI_VOICES)
    assert found.default == "af_heart"
    assert len(found.names) == len(pulled) == 41


def test_an_unknown_voice_is_refused_with_the_list():
    voices = VoiceList(("af_heart", "bm_fable"), "af_heart", {"fable": "bm_fable"})
    assert voices.resolve("FABLE") == "bm_fable"
    assert voices.resolve("narrator", {"narrator": "bm_fable"}) == "bm_fable"
    with pytest.raises(
        InvalidInput, match="found 'bob', expected one of af_heart, bm_fable, or one of the names fable"
    ) as told:
        voices.resolve("bob")
    assert (told.value.param, told.value.code) == ("voice", "invalid_voice")


def test_silence_around_speech_is_cut_to_what_is_wanted():
    sound = np.zeros(24_000, np.float32)
    sound[8_000:16_000] = 0.5
    found = trimmed(sound, 24_000, before_s=0.1, after_s=0.2)
    assert len(found) == 8_000 + 2_400 + 4_800
    assert not len(trimmed(np.zeros(100, np.float32), 24_000, before_s=1, after_s=1))
    assert np.isfinite(trimmed(np.array([np.nan, 0.5, np.inf], np.float32), 10, before_s=1, after_s=1)).all()


def test_a_word_that_no_dictionary_has_is_spelled_and_its_known_forms_are_not(tmp_path):
    make_voice(tmp_path / "kokoro")
    speller = Speller(tmp_path / "kokoro" / "data")
    assert speller.spelled("The weather's colder here, Kubernetes.", "en-us") == (
        "The weather's colder here, K. U. B. E. R. N. E. T. E. S.."
    )
    assert speller.spelled("Yes of course, XQ 12", "en-gb") == "Yes of course, XQ 12"
