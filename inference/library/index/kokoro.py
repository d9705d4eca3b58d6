"""Kokoro-82M as an OpenVINO model, built from the parts of an ONNX file and a vocabulary.

OpenVINO GenAI wants three inputs (input_ids, ref_s, speed), the waveform as [1, samples], and a config.json with the
vocabulary of phonemes and the most of them that the text encoder takes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.errors import ModelNotFound

PARTS: Final = 4
VOCABULARY: Final = "vocab.json"
_ONNX: Final = "kokoro.onnx"
_INPUTS: Final = ("input_ids", "ref_s", "speed")
_POSITIONS: Final = 512


def part(number: int) -> str:
    """Return the name of a part of the ONNX file."""
    return f"{_ONNX}.{number}"


def build(folder: Path) -> None:
    """Turn the parts in `folder` into a model's folder, in place. ModelNotFound: they are of another network."""
    import openvino

    source = folder / _ONNX
    with source.open("wb") as whole:
        for number in range(1, PARTS + 1):
            with (folder / part(number)).open("rb") as piece:
                shutil.copyfileobj(piece, whole, 1 << 20)
            (folder / part(number)).unlink()
    model = openvino.Core().read_model(source)
    _rename(model)
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    vocabulary = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))["vocab"]
    config = {"model_type": "kokoro", "vocab": vocabulary, "plbert": {"max_position_embeddings": _POSITIONS}}
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / VOCABULARY).unlink()
    source.unlink()


def _rename(model: Any) -> None:
    """Give the graph the inputs and outputs that OpenVINO GenAI looks for."""
    import numpy as np
    from openvino import opset13 as ops

    if len(model.inputs) != len(_INPUTS) or len(model.outputs) != 1:
        raise ModelNotFound(f"found {len(model.inputs)} inputs in {_ONNX}, expected tokens, style and speed")
    for found, name in zip(model.inputs, _INPUTS, strict=True):
        found.get_node().set_friendly_name(name)
        found.set_names({name})
    result = model.get_results()[0]
    flat = ops.reshape(result.input(0).get_source_output(), ops.constant(np.array([1, -1], np.int64)), False)
    flat.output(0).set_names({"waveform"})
    ids = ops.add(model.inputs[0], ops.constant(np.int64(0)))
    ids.output(0).set_names({"phonemes"})
    model.remove_result(result)
    model.add_results([ops.result(flat), ops.result(ids)])
    model.validate_nodes_and_infer_types()
