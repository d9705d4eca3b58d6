"""A loaded speaker encoder: windows of speech in, a vector of each voice out (GE2E, Wan et al. 2018).

f32 is asked for by name, so that labels do not depend on the CPU. An hour of speech takes 13 s of one core.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.library.devices import Devices
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import Unavailable

FILE: Final = "openvino_model.xml"
DIMENSIONS: Final = 256
_BATCH: Final = 16
"""Windows a call; a call of a size that was not there before takes up to five times as long."""


class SpeakerEncoder:
    """One model for the whole process. Call it on one event loop."""

    def __init__(self, name: str, folder: Path, devices: Devices, device: str = "CPU") -> None:
        """Read and compile: some tenths of a second, call it off the event loop. RuntimeError (OpenVINO's)."""
        self.name = name
        self.folder = folder
        self.device = device
        properties = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        with OPENING:
            compiled = devices.core.compile_model(str(folder / FILE), device, properties)
            self._request: Any = compiled.create_infer_request()  # openvino ships no types
        self._turn = asyncio.Lock()
        self._closed = False

    async def embed(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the voices [n, 256], each of unit length, of spectrograms [n, 160, 40].

        Raises Unavailable (it is closing), RuntimeError (OpenVINO's).
        """
        voices = np.empty((len(mels), DIMENSIONS), np.float32)
        for start in range(0, len(mels), _BATCH):
            async with self._turn:
                if self._closed:
                    raise Unavailable(f"{self.name} is closing and takes no new requests")
                batch = mels[start : start + _BATCH]
                voices[start : start + _BATCH] = await asyncio.to_thread(self._embed, batch)
        return voices

    async def close(self) -> None:
        """Serve the batch under way, then free the model."""
        async with self._turn:
            self._closed = True
            self._request = None

    def _embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        size = 1 if len(batch) == 1 else _BATCH
        full = np.zeros((size, *batch.shape[1:]), np.float32)
        full[: len(batch)] = batch
        return np.array(self._request.infer({0: full})[0][: len(batch)])
