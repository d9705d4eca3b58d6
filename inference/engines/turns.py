"""How likely it is that a speaker has finished: Smart Turn v3.2 on OpenVINO, as `fastembed pull smart-turn` gets it.

The network (Whisper tiny's encoder and a head, 8.7 MB) hears the last 8 s before a pause and says whether the sentence
is complete: the voice of "my number is" does not fall as that of "call me back" does. A call takes 20 to 60 ms on one
core.

f32 is asked for by name, as for all networks whose probabilities are compared with a threshold.
Source: github.com/pipecat-ai/smart-turn (BSD-2-Clause), file `smart-turn-v3.2-cpu.onnx`.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.features import RATE_HZ, log_mel
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import ModelNotFound

NAME: Final = "smart-turn"
FILE: Final = "smart-turn-v3.2-cpu.onnx"
HEARD_S: Final = 8.0
"""What the network hears, the end of a turn; what is shorter stands at its end."""
_SAMPLES: Final = int(HEARD_S * RATE_HZ)
_FRAMES: Final = 800
_LEAST_VARIANCE: Final = 1e-7


def turn_model_file() -> Path | None:
    """Return where the network is; None: it was not pulled."""
    known = find_known(NAME)
    places = known.places if known else []
    return next((place / FILE for place in places if (place / FILE).is_file()), None)


class TurnModel:
    """The compiled network, shared by all sessions. Safe to use from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Read and compile; some tenths of a second. ModelNotFound names the command that gets it."""
        path = path or turn_model_file()
        if path is None or not path.is_file():
            raise ModelNotFound(
                f"found no {NAME} on this machine, which semantic_vad listens with; run `fastembed pull {NAME}`, or "
                "ask for server_vad",
                param="turn_detection",
            )
        import openvino as ov

        properties = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
        with OPENING:
            compiled = ov.Core().compile_model(str(path), "CPU", properties)
            self._request: Any = compiled.create_infer_request()  # openvino ships no types
        self._lock = threading.Lock()

    def finished(self, samples: NDArray[np.float32]) -> float:
        """Return how likely it is, 0 to 1, that who said `samples` (float32, 16 kHz) has finished. Blocks."""
        features = turn_features(samples)[None]
        with self._lock:
            return float(self._request.infer({0: features})[0].reshape(-1)[0])


def turn_features(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log-mel spectrogram [80, 800] of the last 8 s, at one loudness; silence stands before what is less."""
    heard = np.zeros(_SAMPLES, np.float32)
    ending = samples[-_SAMPLES:]
    heard[_SAMPLES - len(ending) :] = ending
    heard = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(_LEAST_VARIANCE))
    return log_mel(heard, _FRAMES)
