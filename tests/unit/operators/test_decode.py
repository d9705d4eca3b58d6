import asyncio
import threading

import numpy as np
import pytest

from fastembed.inference.engines.media.encode import SoundEncoder
from fastembed.operators.decode import Decode
from fastembed.operators.listening.container import is_no_sound, sniff, undecided
from fastembed.pipeline.payload.audio import AudioBytes, AudioFrame, Clear, Commit, SpeechProblem, SpeechSettings
from tests.integration.recordings import AUDIO, samples
from tests.unit.operators.streams import Stream, through

WEBM = (AUDIO / "two-sentences.webm").read_bytes()
SPOKEN = samples("two-sentences.wav")


def audio(values: list) -> np.ndarray:
    frames = [value.samples for value in values if isinstance(value, AudioFrame)]
    return np.concatenate([np.empty(0, np.float32), *frames])


def problems(values: list) -> list[SpeechProblem]:
    return [value for value in values if isinstance(value, SpeechProblem)]


def chunks(data: bytes, size: int, *, sniff: bool = True) -> list[AudioBytes]:
    return [AudioBytes(data[at : at + size], sniff=sniff) for at in range(0, len(data), size)]


def likeness(heard: np.ndarray, spoken: np.ndarray) -> float:
    """Return the best correlation within 50 ms of shift: codecs delay."""
    middle = spoken[20_000:80_000]
    return max(np.corrcoef(middle, heard[20_000 + k : 80_000 + k])[0, 1] for k in range(-800, 800, 8))


async def test_pcm_of_16_khz_comes_out_as_it_went_in() -> None:
    data = np.array([0, 16_384, -32_768, 32_767], "<i2").tobytes()
    out = await through(Decode(), [SpeechSettings(rate_hz=16_000), AudioBytes(data)])
    assert audio(out).tolist() == [0, 0.5, -1, pytest.approx(32_767 / 32_768)]


async def test_half_a_sample_waits_for_its_other_half() -> None:
    data = np.arange(1_000, dtype="<i2").tobytes()
    out = await through(Decode(), [SpeechSettings(rate_hz=16_000), *chunks(data, 3, sniff=False)])
    assert np.array_equal(audio(out) * 32_768, np.arange(1_000))


async def test_the_default_is_pcm_of_24_khz() -> None:
    out = await through(Decode(), [AudioBytes(bytes(48_000)), Commit()])
    assert len(audio(out)) == 16_000


async def test_telephone_audio_is_8_khz() -> None:
    out = await through(Decode(), [SpeechSettings(format="pcmu"), AudioBytes(b"\xff" * 8_000), Commit()])
    assert len(audio(out)) == 16_000
    assert not audio(out).any()


async def test_a_commit_comes_behind_all_audio_sent_before_it() -> None:
    out = await through(Decode(), [AudioBytes(bytes(48_000)), Commit("a"), AudioBytes(bytes(48_000))])
    assert sum(len(value.samples) for value in out[: out.index(Commit("a"))]) == 16_000


async def test_a_long_message_is_decoded_in_pieces() -> None:
    out = await through(Decode(), [AudioBytes(bytes(10 * 48_000))])
    assert max(len(value.samples) for value in out) <= 4_000


async def test_audio_of_another_rate_is_resampled_and_an_odd_rate_is_a_problem() -> None:
    frame = AudioFrame(np.zeros(44_100, np.float32), 44_100)
    out = await through(Decode(), [frame, Commit(), AudioFrame(np.zeros(10, np.float32), 44_099)])
    assert abs(len(audio(out)) - 16_000) <= 1
    assert problems(out)[0].code == "invalid_sample_rate"


@pytest.mark.parametrize("size", [1, 100, 4_000, 10**6])
async def test_a_webm_stream_is_heard_whatever_the_settings_say_and_however_it_is_cut(size: int) -> None:
    out = await through(Decode(), chunks(WEBM[:6_000] if size == 1 else WEBM, size))
    assert problems(out) == []
    if size > 1:
        assert likeness(audio(out), SPOKEN) > 0.98
    else:
        assert len(audio(out)) > 8_000


async def test_the_sound_of_a_webm_message_comes_before_the_next_message() -> None:
    half = len(WEBM) // 2
    out = await through(Decode(), [AudioBytes(WEBM[:half], sniff=True), Commit(), AudioBytes(WEBM[half:], sniff=True)])
    before = audio(out[: out.index(Commit())])
    assert abs(len(before) / len(SPOKEN) - 0.5) < 0.1


async def test_a_second_recording_on_the_same_socket_is_heard_too() -> None:
    once = audio(await through(Decode(), chunks(WEBM, 4_000)))
    twice = audio(await through(Decode(), [*chunks(WEBM, 4_000), *chunks(WEBM, 4_000)]))
    assert len(twice) == 2 * len(once)


async def test_a_broken_stream_is_one_problem_and_its_rest_is_not_heard_as_noise() -> None:
    broken = WEBM[:4] + bytes(range(256)) * 100
    out = await through(Decode(), [*chunks(broken, 1_000), Clear(), *chunks(WEBM, 4_000)])
    assert [problem.code for problem in problems(out)] == ["invalid_audio"]
    assert "not readable as webm" in problems(out)[0].message
    assert out.index(Clear()) == 1
    assert likeness(audio(out), SPOKEN) > 0.98


async def test_bytes_that_are_no_webm_are_a_problem_where_webm_was_announced() -> None:
    out = await through(Decode(), [SpeechSettings(format="webm"), AudioBytes(b"garbage, no webm", ref="e1")])
    (problem,) = problems(out)
    assert problem.ref == "e1"
    assert "found audio that begins with 67617262, expected the start of a webm stream" in problem.message


async def test_a_stream_that_names_other_files_is_not_opened() -> None:
    out = await through(
        Decode(), [SpeechSettings(format="webm"), AudioBytes(b"ffconcat version 1.0\nfile /etc/passwd")]
    )
    assert len(problems(out)) == 1
    assert audio(out).size == 0


async def test_no_thread_is_left_when_a_session_ends_or_is_abandoned() -> None:
    await through(Decode(), chunks(WEBM[:8_000], 1_000))
    abandoned = Decode()(aiter(Stream(chunks(WEBM, 1_000))))
    await anext(abandoned)
    await abandoned.aclose()
    for thread in threading.enumerate():
        if thread.name.startswith("decode-"):
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()


async def test_streams_with_changed_bytes_end_soon_and_as_a_problem_or_as_sound() -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        broken = bytearray(WEBM[:8_000])
        for place in rng.integers(4, rng.choice([60, 300, 8_000]), 10):
            broken[place] = rng.choice([0, 255, rng.integers(256)])
        async with asyncio.timeout(5):
            out = await through(Decode(), chunks(bytes(broken), 3_000))
        assert len(problems(out)) <= 1
        assert len(audio(out)) < 16_000 * 60


async def test_a_stream_of_a_codec_that_nothing_knows_is_a_problem() -> None:
    unknown = WEBM.replace(b"A_OPUS", b"A_OPVS", 1)
    assert len(unknown) == len(WEBM)
    out = await through(Decode(), chunks(unknown, 4_000))
    assert [problem.code for problem in problems(out)] == ["invalid_audio"]


@pytest.mark.parametrize("form", ["mp3", "aac", "flac", "wav", "opus"])
@pytest.mark.parametrize("size", [300, 5_000])
async def test_a_file_is_told_by_its_bytes_however_it_is_cut_and_whatever_carries_it(form, size) -> None:
    encoder = SoundEncoder(form, 16_000)
    data = encoder.push(SPOKEN) + encoder.finish()
    heard = audio(await through(Decode(), [*chunks(data, size, sniff=size > 1_000), Commit()]))
    assert abs(len(heard) / len(SPOKEN) - 1) < 0.02
    assert likeness(heard, SPOKEN) > 0.9


@pytest.mark.parametrize(
    "data", [b"FORM\x00\x00\x10\x00AIFF", b"#!AMR\n", b"%PDF-1.7 and so on", b'{"audio": "YWJj"}', b"<!DOCTYPE html>"]
)
async def test_what_is_no_sound_is_a_problem_and_no_noise(data) -> None:
    messages = [data + bytes(20_000), bytes(800)]
    values = await through(Decode(), [AudioBytes(message, sniff=True) for message in messages])
    assert [problem.code for problem in problems(values)] == ["unsupported_audio"]
    assert len(audio(values)) == 0


async def test_a_flac_stream_goes_on_behind_a_commit() -> None:
    encoder = SoundEncoder("flac", 16_000)
    data = encoder.push(SPOKEN) + encoder.finish()
    half = len(data) // 2
    values = await through(Decode(), [AudioBytes(data[:half]), Commit(), AudioBytes(data[half:]), Commit()])
    assert problems(values) == []
    assert len(audio(values)) > 0.85 * len(SPOKEN)


def test_pcm_that_looks_like_the_first_bytes_of_a_frame_is_pcm() -> None:
    noise = np.random.default_rng(1).integers(-32_768, 32_767, 20_000, np.int16).tobytes()
    assert sniff(b"\xff\xfb\x90\x64" + noise) is None
    assert sniff(b"\xff\xf1\x50\x80\x20" + noise) is None
    assert not undecided(b"\x01\x00" * 6)


async def test_a_short_wav_is_heard_when_its_client_commits() -> None:
    data = (AUDIO / "red-light.wav").read_bytes()
    values = await through(Decode(), [*chunks(data, 6_400), Commit()])
    assert abs(len(audio(values)) - len(samples("red-light.wav"))) < 160


def test_loud_samples_that_look_like_the_first_letters_of_a_page_are_samples() -> None:
    for head in (b"<a\x00\x01", b"\x1f\x8b\x33\x44", b'{"\xf0\x81'):
        assert not is_no_sound(head + bytes(range(256)))
    assert is_no_sound(b"<html>\n<head>")
