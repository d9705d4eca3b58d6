"""What the pipelines of spoken answers carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """A text to read aloud.

    model: a catalog name, or "auto". voice: one of the model's, or an alias; "": its default. speed: 1 is the voice's
    own pace, 0.25 to 4. quick: someone waits for the sound, so the first pieces are short.
    """

    text: str
    model: str = "auto"
    voice: str = ""
    speed: float = 1.0
    quick: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SpokenAudio:
    """A piece of a spoken text, in order; the pieces of one request make its sound.

    samples: float32 [n], mono, -1 to 1, at rate_hz. text: what is said in it. model, voice: what says it.
    final: whether it is the last one.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    text: str
    model: str
    voice: str
    final: bool = False

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.samples) / self.rate_hz
