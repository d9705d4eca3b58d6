"""Sound and video as documents: what is said, with times, and what is shown."""

import io
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageFont

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.chunk import chunk
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.document import Chunk, File
from tests.integration import recordings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parse():
    models = Models()
    engines = SpeechEngines(models)
    made = Parse()
    await made.open(Context("papers", "parse", "d", Path(), Resources(models, engines)))
    yield made
    await made.close()
    await engines.close()
    await models.close()


def as_file(path):
    return File(path, path.name, "s", path.stat().st_size, 0)


async def test_what_is_said_has_its_times(parse):
    document = await parse(as_file(recordings.AUDIO / "two-sentences.wav"))
    said = " ".join(block.text for block in document.blocks)
    assert recordings.wrong_words(f"{recordings.FIRST} {recordings.SECOND}", said) <= 2
    assert document.parser == "wav+whisper-base"
    assert document.duration_s is not None
    starts = [block.seconds[0] for block in document.blocks]
    ends = [block.seconds[1] for block in document.blocks]
    assert starts == sorted(starts)
    assert all(0 <= start < end <= document.duration_s for start, end in zip(starts, ends, strict=True))
    assert document.markdown.startswith("[0:0")
    chunks = [made for made in chunk(document) if isinstance(made, Chunk)]
    assert chunks[0].seconds == (starts[0], ends[-1])
    assert loaded(document.structure) == [str(len(document.blocks)), str(starts[0])]


def loaded(structure):
    """Return how many texts docling finds in a structure, and when the first begins."""
    code = "import sys; from docling_core.types.doc.document import DoclingDocument as D; "
    code += "d = D.model_validate_json(sys.stdin.read()); print(len(d.texts), d.texts[0].source[0].start_time)"
    run = subprocess.run([sys.executable, "-c", code], input=structure, text=True, capture_output=True, check=True)
    return run.stdout.split()


def video(path, *shown, seconds=4, sound=None):
    """Write a video that shows each text for some seconds, at 2 frames a second."""
    font = ImageFont.load_default(60)
    with av.open(path, "w") as media:
        stream = media.add_stream("libx264" if path.suffix == ".mp4" else "vp8", rate=2)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        track = (
            media.add_stream("aac" if path.suffix == ".mp4" else "libopus", rate=48_000, layout="mono")
            if sound
            else None
        )
        for text in shown:
            image = Image.new("RGB", (1280, 720), "white")
            ImageDraw.Draw(image).text((100, 300), text, fill="black", font=font)
            for _ in range(seconds * 2):
                media.mux(stream.encode(av.VideoFrame.from_image(image)))
        media.mux(stream.encode(None))
        if track is not None:
            frame = av.AudioFrame.from_ndarray(
                (recordings.samples(sound) * 32_767).astype(np.int16)[None], "s16", "mono"
            )
            frame.sample_rate = 16_000
            wanted = track.codec_context
            resampler = av.AudioResampler(wanted.format or "s16", "mono", 48_000, frame_size=wanted.frame_size or 960)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                media.mux(track.encode(piece))
            media.mux(track.encode(None))
    return path


async def test_a_video_has_what_it_shows_once_beside_what_is_said(parse, tmp_path):
    path = video(tmp_path / "talk.mp4", "Snow report 2026", "Ferry times", sound="red-light.wav")
    document = await parse(as_file(path))
    shown = [(block.text, block.seconds) for block in document.blocks if block.kind == "figure"]
    assert [text for text, _ in shown] == ["Snow report 2026", "Ferry times"]
    assert shown[0][1][0] == 0
    assert 3.5 <= shown[1][1][0] <= 4.5
    said = " ".join(block.text for block in document.blocks if block.kind == "paragraph")
    assert recordings.wrong_words(recordings.LIGHT, said) <= 2
    assert document.parser == "mp4+whisper-base+ocr"
    assert "(on screen) Ferry times" in document.markdown


async def test_a_video_without_sound_is_what_it_shows(parse, tmp_path):
    document = await parse(as_file(video(tmp_path / "mute.webm", "Closed today", seconds=2)))
    assert [block.text for block in document.blocks] == ["Closed today"]
    assert "its sound was not read" in document.warnings[0]


async def test_silence_and_what_is_no_recording_are_told(parse, tmp_path):
    out = io.BytesIO()
    with wave.open(out, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(16_000)
        made.writeframes(recordings.SILENCE)
    (tmp_path / "silence.wav").write_bytes(out.getvalue())
    document = await parse(as_file(tmp_path / "silence.wav"))
    assert (document.blocks, document.warnings) == ((), ("found no speech",))
    (tmp_path / "text.mp3").write_text("no sound")
    with pytest.raises(UnsupportedMedia, match=r"text\.mp3: "):
        await parse(as_file(tmp_path / "text.mp3"))
    (tmp_path / "cut.flac").write_bytes(b"fLaC" + bytes(20))
    with pytest.raises(Unprocessable, match=r"cut\.flac: "):
        await parse(as_file(tmp_path / "cut.flac"))
