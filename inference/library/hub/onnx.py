"""ONNX files become OpenVINO's own when they are pulled: an engine then loads them like any other, and faster."""

from __future__ import annotations

from pathlib import Path

import openvino

from fastembed.pipeline.errors import FastEmbedError


class UnreadableOnnx(FastEmbedError):
    """OpenVINO cannot read an ONNX file."""


def convert_onnx(folder: Path) -> None:
    """Replace `model.onnx` of a folder, if it has one, by `openvino_model.xml` and `.bin`, with weights in FP16.

    Blocks for seconds. UnreadableOnnx says why not.
    """
    source = folder / "model.onnx"
    if not source.is_file():
        return
    try:
        model = openvino.Core().read_model(source)
        openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=True)
    except RuntimeError as error:
        raise UnreadableOnnx(f"found {source.name}, which OpenVINO cannot read: {error}") from error
    del model  # it holds the file
    for path in (source, folder / "model.onnx_data"):
        path.unlink(missing_ok=True)
