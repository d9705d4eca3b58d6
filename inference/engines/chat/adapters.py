"""LoRA adapters on disk (Hu et al., 2021), as PEFT saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from fastembed.pipeline.errors import ModelNotFound

_WEIGHTS: Final = "adapter_model.safetensors"
_CONFIG: Final = "adapter_config.json"


def read_adapter(path: Path, strength: float = 1.0) -> tuple[Path, float]:
    """Return an adapter's weights file and how much of it to add: `strength` times PEFT's lora_alpha / r.

    path: the file, or the folder with adapter_model.safetensors. ModelNotFound says what is missing.
    """
    file = path / _WEIGHTS if path.is_dir() else path
    if not file.is_file() or file.suffix != ".safetensors":
        raise ModelNotFound(f"found no {_WEIGHTS} at {path}, expected a LoRA adapter: a folder with it, or such a file")
    return file, strength * _scale(file.with_name(_CONFIG))


def _scale(config: Path) -> float:
    """Return lora_alpha / r, with rsLoRA lora_alpha / sqrt(r) (Kalajdzievski, 2023); 1 where nothing says so."""
    if not config.is_file():
        return 1.0
    found = json.loads(config.read_text(encoding="utf-8"))
    rank = found.get("r") or 1
    return float(found.get("lora_alpha", rank)) / float(rank**0.5 if found.get("use_rslora") else rank)
