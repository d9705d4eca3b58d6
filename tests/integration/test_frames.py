"""Videos of strangers become a few pictures."""

import io
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from fastembed.inference.engines.media.frames import decode_frames
from fastembed.operators.frames import Frames
from fastembed.pipeline.errors import InvalidInput, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.document import File
from tests.integration.recordings import AUDIO

COLOURS = ((200, 30, 30), (30, 160, 60), (40, 60, 210), (230, 220, 40))


def video(container: str, codec: str, *, seconds: float = 4, side: int = 64) -> bytes:
    """Return a video whose colour changes each second."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as media:
        stream = media.add_stream(codec, rate=10)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for place in range(round(seconds * 10)):
            shown = np.full((side, side, 3), COLOURS[place // 10 % 4], np.uint8)
            media.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        media.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx"), ("matroska", "mpeg4")])
async def test_frames_are_spread_over_the_video(container, codec):
    frames, times = await decode_frames(video(container, codec), most=4)
    assert frames.shape == (4, 64, 64, 3)
    assert times == pytest.approx([0, 1, 2, 3], abs=0.11)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert np.abs(frame.mean((0, 1)) - colour).max() < 25


async def test_a_short_video_has_fewer_frames_and_large_ones_are_scaled_down():
    frames, _ = await decode_frames(video("mp4", "libx264", seconds=0.3, side=128), longest_side=32)
    assert 1 <= len(frames) <= 3
    assert frames.shape[1:] == (32, 32, 3)


CORNER = np.zeros((32, 64, 3), np.uint8)
CORNER[:16, :32] = 255  # white at the top left
CORNER[16:, :32] = 90


def filmed(container: str, degrees: int, *, hflip: bool, vflip: bool) -> bytes:
    """Return a video as a phone makes it: the picture as its sensor lies, and how it is to be shown.

    degrees: counter-clockwise; a phone that is held upright writes -90.
    """
    out = io.BytesIO()
    with av.open(out, "w", format=container) as media:
        stream = media.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for _ in range(20):
            media.mux(stream.encode(av.VideoFrame.from_ndarray(CORNER, format="rgb24")))
        media.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
@pytest.mark.parametrize(("hflip", "vflip"), [(False, False), (True, False), (False, True)])
async def test_what_a_phone_filmed_is_upright(container, degrees, hflip, vflip):
    frames, _ = await decode_frames(filmed(container, degrees, hflip=hflip, vflip=vflip), most=2)
    upright = np.rot90(CORNER, degrees // 90)
    upright = np.fliplr(upright) if hflip else upright
    upright = np.flipud(upright) if vflip else upright
    assert frames.shape == (2, *upright.shape)
    for frame in frames:
        assert np.abs(frame.astype(int) - upright).mean() < 20


async def test_an_upright_picture_is_scaled_by_its_longest_side():
    frames, _ = await decode_frames(filmed("mp4", -90, hflip=False, vflip=False), most=1, longest_side=16)
    assert frames.shape == (1, 16, 8, 3)


async def test_what_is_no_video_is_refused():
    with pytest.raises(Unprocessable, match="found no video stream"):
        await decode_frames(AUDIO / "two-sentences.wav")
    with pytest.raises(UnsupportedMedia, match="found a file that begins with"):
        await decode_frames(b"ffconcat version 1.0\nfile /etc/hosts\n")
    with pytest.raises(Unprocessable, match="found a media file that"):
        await decode_frames(video("mp4", "libx264")[:400])


async def test_the_operator_gives_each_picture_of_a_video_and_a_still_one_as_it_is(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(video("mp4", "libx264"))
    film = File(path, "a.mp4", "", 1, 0)
    found = [frame async for frame in Frames(most=4, longest_side=32)(film)]
    assert [frame["name"] for frame in found] == ["a.mp4"] * 4
    assert [frame["second"] for frame in found] == sorted({frame["second"] for frame in found})
    assert {frame["picture"].shape for frame in found} == {(32, 32, 3)}
    out = BytesIO()
    Image.new("RGB", (6, 4), (9, 8, 7)).save(out, "PNG")
    ((still),) = [frame async for frame in Frames()(out.getvalue())]
    assert (still["second"], still["picture"].shape, still["picture"][0, 0].tolist()) == (0.0, (4, 6, 3), [9, 8, 7])
    with pytest.raises(InvalidInput, match="expected a PNG"):
        _ = [frame async for frame in Frames()(b"junk")]
