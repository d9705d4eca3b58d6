"""Media files of strangers, decoded in a process that can be killed."""

import asyncio
import io
import wave
from contextlib import aclosing, suppress
from pathlib import Path

import av
import numpy as np
import pytest

from fastembed.inference.engines.media.files import recognise
from fastembed.inference.engines.media.sound import decode_media
from fastembed.pipeline.errors import NotFound, TooLarge, Unprocessable, UnsupportedMedia
from tests.integration.recordings import AUDIO, encoded, samples

SPOKEN = samples("two-sentences.wav")


async def heard(source: Path | bytes, **options: float) -> np.ndarray:
    return np.concatenate([frame.samples async for frame in decode_media(source, **options)])


def children() -> set[str]:
    """Return the processes that this one started, whatever else runs in it."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}


async def test_a_wav_comes_out_as_it_is() -> None:
    assert np.array_equal(await heard(AUDIO / "two-sentences.wav"), SPOKEN)


@pytest.mark.parametrize(
    ("container", "codec"), [("flac", "flac"), ("mp3", "libmp3lame"), ("mp4", "aac"), ("adts", "aac")]
)
async def test_compressed_files_come_out_alike(container: str, codec: str) -> None:
    out = await heard(encoded("two-sentences.wav", container, codec))
    middle = SPOKEN[20_000:60_000]
    likeness = max(np.corrcoef(middle, out[20_000 + k : 60_000 + k])[0, 1] for k in range(-200, 1_600, 2))
    assert likeness > 0.95


async def test_a_browsers_recording_is_a_file_too() -> None:
    assert abs(len(await heard(AUDIO / "two-sentences.webm")) - len(SPOKEN)) < 1_600


async def test_frames_come_while_the_file_is_still_being_decoded() -> None:
    async with aclosing(decode_media(AUDIO / "two-sentences.wav", rate_hz=8_000)) as frames:
        first = await anext(frames)
    assert (first.rate_hz, len(first.samples)) == (8_000, 2_000)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    ],
)
async def test_what_is_no_media_file_is_not_opened(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="found a file that begins with"):
        await heard(data)


async def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(UnsupportedMedia, match="found an empty file, expected one of wav, flac"):
        await heard(b"")


async def test_broken_files_end_as_unprocessable_and_none_hangs() -> None:
    wav = (AUDIO / "two-sentences.wav").read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(8):
        broken = bytearray(wav[:20_000])
        for place in rng.integers(16, 44, 6):
            broken[place] = rng.integers(256)
        async with asyncio.timeout(30):
            with suppress(Unprocessable):  # some changes do no harm
                await heard(bytes(broken))


async def test_a_file_without_sound_is_unprocessable() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as media:
        stream = media.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        media.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        media.mux(stream.encode(None))
    with pytest.raises(Unprocessable, match="found no audio stream"):
        await heard(out.getvalue())


async def test_more_sound_than_allowed_is_too_large() -> None:
    with pytest.raises(TooLarge, match="found more than 2 s of sound"):
        await heard(AUDIO / "two-sentences.wav", longest_s=2)


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"cannot read .*none\.wav: No such file"):
        await heard(tmp_path / "none.wav")


async def test_no_process_is_left_of_a_file_that_nobody_reads_to_its_end(tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    with wave.open(str(long), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(bytes(16_000 * 2 * 600))
    before = children()
    async with aclosing(decode_media(long)) as frames:
        await anext(frames)
        assert children() - before
    assert not children() - before


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"RIFF\x00\x00\x00\x00WAVE", "wav"),
        (b"fLaC", "flac"),
        (b"OggS\x00\x02", "ogg"),
        (b"\x1a\x45\xdf\xa3", "matroska"),
        (b"\x00\x00\x00\x20ftypM4A ", "mp4"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"FORM\x00\x00\x00\x00AIFF", "aiff"),
    ],
)
def test_files_are_recognised_by_their_first_bytes(head: bytes, demuxer: str) -> None:
    assert recognise(head) == demuxer


@pytest.mark.parametrize("default", [0, 1])
async def test_the_track_that_players_would_choose_is_heard(default: int) -> None:
    """Films carry a track a language: the one that is marked as the default counts, not the first."""
    tones = [np.sin(2 * np.pi * hertz * np.arange(32_000) / 16_000).astype(np.float32) * 0.5 for hertz in (300, 2_000)]
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as media:
        streams = [media.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in tones]
        for place, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if place == default else av.stream.Disposition(0)
        for stream, tone in zip(streams, tones, strict=True):
            frame = av.AudioFrame.from_ndarray((tone * 32_767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate = 16_000
            media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
    found = await heard(out.getvalue())
    crossings = int((np.diff(np.signbit(found[4_000:20_000])) != 0).sum())
    assert crossings == pytest.approx((600, 4_000)[default], rel=0.05)
