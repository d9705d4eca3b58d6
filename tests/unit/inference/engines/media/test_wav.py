"""Plain WAV files are read in place; all others are left alone."""

import io
import struct
import wave

import numpy as np
import pytest

from fastembed.inference.engines.media.wav import plain_wav

TONE = (np.sin(np.arange(48_000) * 440 * 2 * np.pi / 48_000) * 16_000).astype("<i2")


def wav(pcm: np.ndarray, *, rate: int = 16_000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    return out.getvalue()


def read(data: bytes) -> np.ndarray:
    pieces = plain_wav(data, 16_000)
    assert pieces is not None
    return np.concatenate([*pieces, np.empty(0, np.float32)])


def test_samples_at_the_wanted_rate_come_out_exactly_a_quarter_second_a_piece() -> None:
    pieces = list(plain_wav(wav(TONE), 16_000) or ())
    assert [len(piece) for piece in pieces] == [4_000] * 12
    assert np.array_equal(np.concatenate(pieces), TONE.astype(np.float32) / 32_768)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_converted(rate: int) -> None:
    seconds = len(TONE) / rate
    assert len(read(wav(TONE, rate=rate))) == pytest.approx(seconds * 16_000, abs=20)


def test_channels_are_mixed() -> None:
    both = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    assert np.allclose(read(wav(both, channels=2)), TONE / 65_536, atol=1e-6)


def test_other_chunks_are_stepped_over_and_half_a_sample_is_dropped() -> None:
    plain = wav(TONE[:10])
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert len(read(plain[:36] + odd + plain[36:])) == 10
    assert len(read(plain[:40] + struct.pack("<I", 19) + plain[44:])) == 9


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        wav(TONE)[:-2],  # shorter than it says
        wav(TONE).replace(b"fmt ", b"fmtx"),
        wav(TONE)[:40] + b"\xff\xff\xff\xff" + wav(TONE)[44:],  # a live recording's size
        wav(TONE)[:20] + b"\x03\0" + wav(TONE)[22:],  # float
        wav(TONE)[:22] + b"\x00\0" + wav(TONE)[24:],  # no channels
        wav(TONE)[:22] + b"\x02\0" + wav(TONE)[24:],  # channels against the width
        wav(TONE)[:24] + struct.pack("<I", 15_999) + wav(TONE)[28:],  # an odd rate
        b"OggS" + wav(TONE)[4:],
    ],
)
def test_what_is_not_plain_is_left_to_the_decoder(data: bytes) -> None:
    assert plain_wav(data, 16_000) is None


def test_any_header_is_read_without_harm() -> None:
    rng = np.random.default_rng(1)
    for _ in range(3_000):
        broken = bytearray(wav(TONE[:200]))
        for place in rng.integers(0, 48, 4):
            broken[place] = rng.integers(256)
        pieces = plain_wav(bytes(broken), 16_000)
        assert pieces is None or sum(map(len, pieces)) < 10_000
