"""An embedding model on one device: batches of token ids in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastembed.inference.engines.embedding.graph import prepare, read_pooling
from fastembed.inference.engines.encoder.engine import EncoderEngine
from fastembed.inference.engines.encoder.folder import model_file, read_traits
from fastembed.inference.library.devices import Devices


class EmbeddingEngine(EncoderEngine):
    """The encoder of a folder, which gives one vector a row."""

    def __init__(
        self,
        folder: Path,
        devices: Devices,
        device: str = "CPU",
        *,
        lengths: Sequence[int] | None = None,
        **properties: Any,
    ) -> None:
        """Read, prepare and compile; `lengths` and `properties` are `EncoderEngine`'s.

        Raises ModelNotFound when the folder holds no model that this engine can run, RuntimeError when the device
        cannot compile it.
        """
        file = model_file(folder)
        model = prepare(devices.core.read_model(file), read_pooling(folder), folder)
        super().__init__(model, read_traits(folder), devices, device, lengths=lengths, **properties)
        self.dimensions: int = model.outputs[0].get_partial_shape()[1].get_length()
