"""Sound into files, piece by piece."""

import io
import wave

import av
import numpy as np
import pytest

from fastembed.inference.engines.media.encode import RATE_HZ, SOUND_FORMATS, SoundEncoder

SECONDS = 1.5


def tone(rate_hz):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(SECONDS * rate_hz)) / rate_hz)).astype(np.float32)


def encoded(form, rate_hz, step=5_000):
    encoder, samples = SoundEncoder(form, rate_hz), tone(rate_hz)
    return [*(encoder.push(samples[at : at + step]) for at in range(0, len(samples), step)), encoder.finish()]


@pytest.mark.parametrize("rate_hz", [24_000, 22_050])
@pytest.mark.parametrize("form", [form for form in SOUND_FORMATS if form != "pcm"])
def test_what_is_encoded_piece_by_piece_is_the_tone_when_it_is_decoded(form, rate_hz):
    pieces = encoded(form, rate_hz)
    with av.open(io.BytesIO(b"".join(pieces))) as media:
        stream = media.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        frames = [part for frame in media.decode(stream) for part in resampler.resample(frame)]
        heard = np.concatenate([frame.to_ndarray()[0] for frame in (*frames, *resampler.resample(None))])
    assert len(heard) / RATE_HZ == pytest.approx(SECONDS, abs=0.12)
    middle = heard[8_000:24_000]
    pitch = np.argmax(np.abs(np.fft.rfft(middle))) * RATE_HZ / len(middle)
    assert pitch == pytest.approx(440, abs=3)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)
    assert sum(map(bool, pieces[: len(pieces) // 2])) >= 2, "bytes come while there is more to encode"


def test_pcm_is_16_bits_of_24_khz():
    data = b"".join(encoded("pcm", 24_000))
    samples = np.frombuffer(data, "<i2")
    assert np.abs(samples / 32767 - tone(24_000)).max() < 1e-4


def test_a_wav_of_one_piece_has_true_sizes_and_one_that_streams_says_until_the_end():
    whole = SoundEncoder("wav", 24_000).finish(tone(24_000))
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (36_000, 24_000, 1)
    streamed = b"".join(encoded("wav", 24_000))
    assert (streamed[4:8], streamed[40:44]) == (b"\xff" * 4, b"\xff" * 4)
    assert streamed[44:] == whole[44:]


def test_what_is_louder_than_full_scale_is_cut_off_there():
    assert np.frombuffer(SoundEncoder("pcm", 24_000).finish(np.array([-3, 3], np.float32)), "<i2").tolist() == [
        -32767,
        32767,
    ]
