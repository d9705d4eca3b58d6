"""How likely it is that someone speaks: Silero VAD 6 on OpenVINO.

One frame is 512 new samples at 16 kHz (32 ms) behind the last 64 of the frame before. The network is recurrent: each
stream carries a state of [2, 1, 128] and its 64 samples, 1.3 kB; all streams share one inference request, since a frame
takes 70 us on one core. Batching the frames of many streams would cost a third of that a frame and would make each
wait for the others; at 0.2 % of a core a live stream it is not worth its latency.

Each stream is brought to one level, which follows its loudest frames at once and its silence slowly: a microphone at
-40 dBFS is heard like a loud one, and the noise of a pause stays far below the speech before it.

f32 is asked for by name: in bf16, the default of some CPUs, the probability is off by up to 0.2.
Source: github.com/snakers4/silero-vad (MIT), file `silero_vad_openvino_16k.onnx`.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.library.opening import OPENING

RATE_HZ: Final = 16_000
FRAME: Final = 512
"""Samples a frame."""

_CONTEXT: Final = 64
_TARGET: Final = 0.1  # -20 dBFS, where the network was trained
_FIRST_LEVEL: Final = 0.01
_FADE: Final = 0.98  # a frame: 5.5 dB a second
_MOST: Final = 100.0
_MODEL: Final = Path(__file__).resolve().parents[2] / "models" / "silero" / "silero_vad_openvino_16k.onnx"


class VoiceModel:
    """The compiled network, shared by all streams. Safe to use from several threads."""

    def __init__(self, path: Path = _MODEL) -> None:
        """Read and compile; about 0.1 s."""
        if not path.is_file():
            msg = f"found no voice activity model at {path}, expected the file that ships with the project"
            raise FileNotFoundError(msg)
        import openvino as ov

        properties = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
        }
        with OPENING:
            compiled = ov.Core().compile_model(str(path), "CPU", properties)
            self._request: Any = compiled.create_infer_request()  # openvino ships no types
        self._input = self._request.get_input_tensor(0).data
        self._state_in = self._request.get_input_tensor(1).data
        self._probability = self._request.get_output_tensor(0).data
        self._state_out = self._request.get_output_tensor(1).data
        self._lock = threading.Lock()

    def infer(self, context: NDArray[np.float32], frame: NDArray[np.float32], state: NDArray[np.float32]) -> float:
        """Return the probability of speech in `frame` [512] after `context` [64]; `state` [2, 1, 128] is updated."""
        with self._lock:
            self._input[0, :_CONTEXT] = context
            self._input[0, _CONTEXT:] = frame
            self._state_in[:] = state
            self._request.infer()
            state[:] = self._state_out
            return float(self._probability[0, 0])

    def stream(self) -> VoiceStream:
        """Start listening to one more stream."""
        return VoiceStream(self)


class VoiceStream:
    """One stream's memory of what it heard."""

    __slots__ = ("_context", "_level", "_model", "_state")

    def __init__(self, model: VoiceModel) -> None:
        """Begin in silence."""
        self._model = model
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._level = _FIRST_LEVEL

    def probability(self, frame: NDArray[np.float32]) -> float:
        """Return how likely it is, 0 to 1, that the next 512 samples (float32, 16 kHz) hold speech."""
        level = float(np.sqrt(np.dot(frame, frame) / len(frame)))
        self._level = max(level, self._level * _FADE)
        heard = np.clip(frame * np.float32(min(_TARGET / self._level, _MOST)), -1.0, 1.0)
        probability = self._model.infer(self._context, heard, self._state)
        self._context = heard[-_CONTEXT:].copy()
        return probability

    def reset(self) -> None:
        """Reset the detector's state."""
        self._state[:] = 0
        self._context[:] = 0
        self._level = _FIRST_LEVEL
