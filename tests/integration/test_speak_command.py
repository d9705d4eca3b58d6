"""`fastembed speak`, with a tiny voice."""

import io
import wave

import pytest

from fastembed.commands.speak import speak
from fastembed.pipeline.errors import FastEmbedError, InvalidInput, ModelNotFound
from tests.voices import make_voice


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    make_voice(tmp_path / "models" / "kokoro")
    return tmp_path


def run(text, output, **options):
    return speak(text, output, None, **{"model": "auto", "voice": "", "speed": 1.0, **options})


def test_a_text_is_written_into_a_wav_with_its_length(here, capsys):
    assert run("Good morning. The weather is cold.", here / "out.wav") == 0
    with wave.open(str(here / "out.wav")) as file:
        assert file.getnframes() > 12_000
    assert capsys.readouterr().err == f"{here / 'out.wav'}: {file.getnframes() / 24_000:.1f} s, by af_heart of kokoro\n"


def test_standard_input_is_read_for_a_dash(here, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Yes, of course."))
    assert run("-", here / "out.ogg", voice="fable") == 0
    assert (here / "out.ogg").read_bytes()[:4] == b"OggS"


def test_what_is_wrong_leaves_no_file(here):
    with pytest.raises(FastEmbedError, match=r"found the file .*out.txt, expected one that ends in .mp3"):
        run("Yes.", here / "out.txt")
    with pytest.raises(InvalidInput, match="expected one of af_alloy, af_heart, bm_fable"):
        run("Yes.", here / "out.wav", voice="bob")
    with pytest.raises(ModelNotFound, match="fastembed pull piper-joe"):
        run("Yes.", here / "out.wav", model="piper")
    assert not (here / "out.wav").exists()
