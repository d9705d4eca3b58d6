"""Pictures and sounds inside a request: right ones are decoded, wrong ones are named."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import AudioPart, ImagePart, TextPart
from fastembed.server.endpoints.chat import decode
from fastembed.server.wire.chat import media
from tests.unit.server.strict import strict

RED, BLUE = (255, 0, 0), (0, 0, 255)
AUDIO = Path(__file__).parents[4] / "assets" / "audio"


def picture(form: str = "PNG", mode: str = "RGB", size=(4, 2), color=RED, **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, form, **options)
    return file.getvalue()


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


def image(data: bytes, **fields) -> dict:
    return {"type": "image_url", "image_url": {"url": url(data), **fields}}


def tone(seconds: float = 0.5, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(
            (np.sin(np.arange(int(seconds * rate)) / rate * 440 * 2 * np.pi) * 9000).astype("<i2").tobytes()
        )
    return file.getvalue()


async def parts(*content: dict):
    found, _ = await decode(strict({"model": "m", "messages": [{"role": "user", "content": list(content)}]}))
    return found.messages[0].parts


async def refused(*content: dict) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        await parts(*content)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_a_picture_of_every_format_becomes_its_pixels(form):
    text, found = await parts({"type": "text", "text": "what is it?"}, image(picture(form), detail="low"))
    assert text == TextPart("what is it?")
    assert isinstance(found, ImagePart)
    assert (found.pixels.shape, found.pixels.dtype, found.detail) == ((2, 4, 3), np.uint8, "low")
    np.testing.assert_allclose(found.pixels[0, 0], RED, atol=4)


@pytest.mark.parametrize(
    ("mode", "color", "seen"),
    [
        ("L", 128, (128, 128, 128)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 255, 255), BLUE),
        ("LA", (9, 0), (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
    ],
)
async def test_every_mode_becomes_rgb_on_white(mode, color, seen):
    (found,) = await parts(image(picture(mode=mode, color=color)))
    assert tuple(found.pixels[0, 0]) == seen


async def test_a_photo_is_turned_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    (found,) = await parts(image(picture("JPEG", exif=exif)))
    assert found.pixels.shape == (4, 2, 3)


async def test_a_data_url_is_read_leniently_where_no_doubt_is_left():
    data = b64encode(picture()).decode().rstrip("=")
    for given in (f"data:;base64,{data}", f"DATA:image/png;charset=utf-8;base64,\n{data}"):
        (found,) = await parts({"type": "image_url", "image_url": {"url": given}})
        assert found.pixels.shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("https://example.com/a.png", "invalid_image_url", "this server fetches none"),
        ("file:///etc/passwd", "invalid_image_url", "expected data:image/...;base64,... or an http(s) URL"),
        ("data:image/png,abc", "invalid_image_url", "expected data:image/...;base64,..."),
        ("data:text/html;base64,aGk=", "invalid_image_format", "found a data URL of text/html"),
        ("data:image/png;base64,a*b=", "invalid_base64", "not valid base64"),
        ("data:image/png;base64,aGVsbG8=", "invalid_image", "expected a PNG, JPEG, WebP or still GIF"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "invalid_image", "expected a PNG, JPEG, WebP or still GIF"),
    ],
)
async def test_a_bad_url_is_named(given, code, message):
    error = await refused({"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": given}})
    assert (error.param, error.code) == ("messages[0].content[1].image_url.url", code)
    assert message in error.message


async def test_a_tiff_is_not_opened_though_pillow_could():
    assert (await refused(image(picture("TIFF")))).code == "invalid_image"


async def test_a_cut_picture_is_refused():
    assert (await refused(image(picture(size=(64, 64), color=BLUE)[:-30]))).code == "invalid_image"


async def test_a_picture_that_moves_is_refused():
    file = io.BytesIO()
    Image.new("L", (2, 2), 0).save(file, "GIF", save_all=True, append_images=[Image.new("L", (2, 2), 255)])
    assert "found an animated picture" in (await refused(image(file.getvalue()))).message


def bomb(width: int, height: int) -> bytes:
    """Return a PNG whose header promises more than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 8000), (12_000, 12_000), (60_000, 60_000)])
async def test_a_bomb_is_refused_before_it_is_decoded(size):
    error = await refused(image(bomb(*size)))
    assert error.code == "image_too_large"
    assert "expected at most 32000000" in error.message


async def test_too_many_bytes_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(media, "MAX_IMAGE_BYTES", 10)
    assert (await refused(image(picture()))).code == "image_too_large"


async def test_a_request_holds_so_many_pictures():
    assert len(await parts(*[image(picture())] * media.MAX_MEDIA)) == media.MAX_MEDIA
    error = await refused(*[image(picture())] * (media.MAX_MEDIA + 1))
    assert error.param == f"messages[0].content[{media.MAX_MEDIA}]"


@pytest.mark.parametrize(
    ("value", "param", "message"),
    [
        ({}, "image_url", "found no image_url"),
        ({"image_url": "data:"}, "image_url", "found a string, expected an object"),
        ({"image_url": {}}, "image_url.url", "found no url"),
        ({"image_url": {"url": "data:image/png;base64,", "detail": "max"}}, "image_url.detail", "found 'max'"),
    ],
)
async def test_a_bad_image_part_is_named(value, param, message):
    error = await refused({"type": "image_url", **value})
    assert error.param == f"messages[0].content[0].{param}"
    assert message in error.message


async def test_sound_becomes_16_khz_mono():
    (found,) = await parts(
        {"type": "input_audio", "input_audio": {"data": b64encode(tone()).decode(), "format": "wav"}}
    )
    assert isinstance(found, AudioPart)
    assert (found.rate_hz, found.samples.dtype) == (16_000, np.float32)
    assert abs(len(found.samples) - 8000) < 200
    assert 0.2 < np.abs(found.samples).max() < 0.4


async def test_our_own_audio_part_takes_a_data_url():
    (found,) = await parts({"type": "audio", "audio": {"url": url(tone(), "audio/wav")}})
    assert isinstance(found, AudioPart)


@pytest.mark.parametrize(
    ("sound", "param", "message"),
    [
        ({"data": b64encode(tone()).decode(), "format": "mp3"}, "data", "found wav data, expected mp3"),
        ({"data": "aGVsbG8gd29ybGQgaGVsbG8=", "format": "wav"}, "data", "found a file that begins with 68656c6c"),
        ({"data": b64encode(tone()[:40]).decode(), "format": "wav"}, "data", "found a"),
        ({"data": "*", "format": "wav"}, "data", "not valid base64"),
        ({"data": "aGk=", "format": "flac"}, "format", "found 'flac', expected one of wav, mp3"),
        ({"data": "aGk="}, "format", "found no format, expected wav or mp3"),
        ({"format": "wav"}, "data", "found no data"),
    ],
)
async def test_a_bad_sound_is_named(sound, param, message):
    error = await refused({"type": "input_audio", "input_audio": sound})
    assert error.param == f"messages[0].content[0].input_audio.{param}"
    assert message in error.message


async def test_an_address_of_a_sound_is_not_fetched():
    error = await refused({"type": "audio", "audio": {"url": "http://10.0.0.1/a.wav"}})
    assert (error.param, error.code) == ("messages[0].content[0].audio.url", "invalid_audio_url")
    assert "fetches none" in error.message


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (image(b"BM hello"), "found bytes that begin with 424d2068656c6c6f, expected a PNG, JPEG, WebP or still GIF"),
        (image(b""), "found nothing, expected a PNG"),
        (
            {"type": "video_url", "video_url": {"url": url(b"hello", "video/mp4")}},
            "begins with 68656c6c6f, expected an MP4",
        ),
        ({"type": "video_url", "video_url": {"url": url(tone(), "video/mp4")}}, "found a file wav, expected an MP4"),
    ],
)
async def test_what_is_no_picture_or_video_is_told_by_its_first_bytes(part, message):
    error = await refused(part)
    assert message in error.message
    assert "object at" not in error.message
