"""What the folder of a BERT-like model says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.errors import ModelNotFound

_MODEL_FILES: Final = ("openvino_model.xml", "model.xml")


@dataclass(frozen=True, slots=True)
class EncoderTraits:
    """window: longest input in tokens. padding_id: the token that fills a row up."""

    folder: Path
    window: int
    padding_id: int


def read_traits(folder: Path) -> EncoderTraits:
    """Read `config.json` and the files of sentence-transformers beside it.

    The window is `max_seq_length` (sentence_bert_config.json), which its authors trained for, within
    `max_position_embeddings`; 512 where neither is there.
    """
    config = read_json(folder / "config.json")
    positions = config.get("max_position_embeddings", 512)
    padding_id = config.get("pad_token_id")
    if "roberta" in config.get("model_type", ""):
        padding_id = 1 if padding_id is None else padding_id
        positions -= padding_id + 1  # RoBERTa counts positions from behind the padding id
    window = min(read_json(folder / "sentence_bert_config.json").get("max_seq_length") or positions, positions)
    return EncoderTraits(folder, window, padding_id or 0)


def model_file(folder: Path) -> Path:
    """Return the file of the graph. ModelNotFound if there is none."""
    file = next((folder / name for name in _MODEL_FILES if (folder / name).is_file()), None)
    if file is None:
        raise ModelNotFound(f"found no {' or '.join(_MODEL_FILES)} in {folder}, expected an OpenVINO model")
    return file


def read_json(file: Path) -> dict[str, Any]:
    """Return the file's object, an empty one where there is no file."""
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
