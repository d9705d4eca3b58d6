#!/bin/sh
# A phone films as its sensor lies and writes into the file how it was held (the display matrix). The ffmpeg program and
# players turn the picture; PyAV hands out frames as they lie, in `to_ndarray` and `to_image`. Expected: upright pictures.
# `VideoFrame.rotation` says how far to turn, counter-clockwise: a phone that is held upright has -90, not 90.
# Prints the version, the size of the frame and its rotation; fails if frames come upright.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
cd "$folder" && venv/bin/python - <<'PY'
import io, av, numpy as np

out = io.BytesIO()
with av.open(out, "w", format="mp4") as media:
    stream = media.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
    stream.set_display_rotation(-90)  # a quarter clockwise: 32 wide, 64 high
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32] = 255
    for _ in range(5):
        media.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    media.mux(stream.encode(None))
frame = next(av.open(io.BytesIO(out.getvalue())).decode(video=0))
shape = frame.to_ndarray(format="rgb24").shape
print("av", av.__version__, "gives", shape[1], "x", shape[0], "pixels, rotation", frame.rotation)
assert shape == (32, 64, 3) and frame.rotation == -90, "frames come upright: turning them can go"
upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
assert upright[:32].mean() > 200 > 50 > upright[32:].mean()  # its left, white, is the top
PY
