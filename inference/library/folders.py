"""Where models' files are, and what a folder of files is good for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

Task = Literal["embedding", "rerank", "chat", "code", "transcription", "speech", "document", "voice_activity"]

BUILT_IN: Final = "built-in:"
_DOCUMENT_TYPES: Final = frozenset({"idefics3"})  # granite-docling's and SmolDocling's architecture
_MODELS: Final = Path(__file__).resolve().parents[2] / "models"


def models_home() -> Path:
    """Return the folder that `fastembed pull` fills.

    $FASTEMBED_MODELS, else $FASTEMBED_HOME/models, else ~/.cache/fastembed/models.
    """
    models = os.environ.get("FASTEMBED_MODELS")
    return Path(models).expanduser().absolute() if models else own_home() / "models"


def own_home() -> Path:
    """Return where this project keeps what it can make again: $FASTEMBED_HOME, else ~/.cache/fastembed."""
    home = os.environ.get("FASTEMBED_HOME")
    return Path(home).expanduser().absolute() if home else Path.home() / ".cache" / "fastembed"


def kept_home() -> Path:
    """Return where this project keeps what it was given: $FASTEMBED_HOME, else where user data goes, not a cache.

    That is $XDG_DATA_HOME/fastembed, or ~/.local/share/fastembed (XDG Base Directory Specification 0.8).
    """
    if os.environ.get("FASTEMBED_HOME"):
        return own_home()
    given = os.environ.get("XDG_DATA_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".local" / "share") / "fastembed"


def candidates(origin: str, base: Path) -> list[Path]:
    """Return where the files of `from: origin` may be, likeliest first.

    `built-in:name` ships with the package; anything else is a path (relative to `base`, the configuration's folder) or
    a hub id, which is looked up in `models_home()`.
    """
    if origin.startswith(BUILT_IN):
        return [_MODELS / origin.removeprefix(BUILT_IN)]
    path = Path(origin).expanduser()
    if path.is_absolute():
        return [path]
    return [base / path, models_home() / path]


def locate(origin: str, base: Path) -> Path | None:
    """Return the first candidate that is a folder with a file in it, or None."""
    return next((path for path in candidates(origin, base) if path.is_dir() and any(path.iterdir())), None)


def is_pocket(folder: Path) -> bool:
    """Whether a folder is one of the tiny models that ship for trying things out."""
    return folder.parent == _MODELS and folder.name.endswith("-pocket")


def recognise(folder: Path) -> Task | None:
    """Tell from its files what the model in `folder` does; None when nothing says so."""
    names = {path.name for path in folder.iterdir()}
    if {"openvino_encoder_model.xml", "openvino_decoder_model.xml"} <= names:
        return "transcription"
    if _json(folder / "config.json").get("model_type") in _DOCUMENT_TYPES:
        return "document"
    if any(name.endswith(".gguf") for name in names):
        return "chat"
    if "openvino_vision_embeddings_model.xml" in names or "openvino_language_model.xml" in names:
        return "chat"
    if any(name.endswith(".onnx") and "vad" in name for name in names):
        return "voice_activity"
    return _by_architecture(folder) if "openvino_model.xml" in names else None


def _by_architecture(folder: Path) -> Task | None:
    config = _json(folder / "config.json")
    architectures = " ".join(config.get("architectures") or ())
    if "ForSequenceClassification" in architectures:
        return "rerank"
    if "ForCausalLM" in architectures:
        return "chat"
    if (folder / "modules.json").is_file() or architectures.endswith("Model"):
        return "embedding"
    return None


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
