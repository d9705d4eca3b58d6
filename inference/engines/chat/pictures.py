"""Where pictures stand in a prompt, and how genai is told.

A picture keeps its place as one private-use character until the template is rendered; then it becomes genai's tag,
which genai replaces by what the architecture wants there. Neither can be smuggled in: users' texts lose the character,
and tags in them are broken up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.chat.sounds import PLACE as SOUND
from fastembed.inference.engines.chat.sounds import Samples
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, ImagePart, Part, TextPart, VideoPart

Pixels = NDArray[np.uint8]
MOST_FRAMES: Final = 8
"""Frames of a video that a model is shown, as pictures: it reads no video."""
_PLACE: Final = "\uf8f0"
_MARKS: Final = {ord(_PLACE): None, ord(SOUND): None}
_SILENT: Final = np.empty(0, np.float32)
_TAG: Final = re.compile(r"<ov_genai_(?=(?:image|video)_\d+>)")

_WHOLE_TAG: Final = re.compile(r"<ov_genai_(?:image|video)_\d+>")


@dataclass(frozen=True, slots=True, eq=False)
class SeenPrompt:
    """A prompt for a model that sees: text with genai's tags, and the pictures, uint8 [height, width, 3], in order.

    sounds: float32 [n] at 16 kHz, in the order of the tokens that stand for them; None: the model hears nothing.
    """

    text: str
    pictures: tuple[Pixels, ...] = ()
    sounds: tuple[Samples, ...] | None = None

    def tensors(self) -> list[Any]:
        """Return the pictures as genai takes them."""
        import openvino

        return [openvino.Tensor(np.ascontiguousarray(picture)) for picture in self.pictures]

    def audios(self) -> list[Any]:
        """Return the sounds as genai takes them; where there is none, one of no length.

        Without any, genai 2026.4.1 would hear once more what it was given last, of any caller.
        """
        import openvino

        return [openvino.Tensor(samples) for samples in self.sounds or (_SILENT,)]


def pictures_of(request: ChatRequest) -> tuple[Pixels, ...]:
    """Return every picture of the conversation, and up to `MOST_FRAMES` of each video, in order."""
    return tuple(picture for message in request.messages for part in message.parts for picture in _shown(part))


def with_places(parts: tuple[Part, ...]) -> str:
    """Return a message's text, with a mark where each picture and each sound stands."""
    return "".join(map(_placed, parts))


def with_tags(text: str) -> str:
    """Replace the marks of a rendered template by genai's tags."""
    numbers = count()
    return re.sub(_PLACE, lambda _: f"<ov_genai_image_{next(numbers)}>", text)


def untagged(text: str) -> str:
    """Return a rendered prompt without its pictures' places."""
    return _WHOLE_TAG.sub("", text)


def without_tags(text: str) -> str:
    """Break up what genai would take for a picture's place."""
    return _TAG.sub("< ov_genai_", text)


def _placed(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text.translate(_MARKS)
    return SOUND if isinstance(part, AudioPart) else _PLACE * len(list(_shown(part)))


def _shown(part: Part) -> Iterator[Pixels]:
    if isinstance(part, ImagePart):
        yield part.pixels
    elif isinstance(part, VideoPart):
        total = len(part.frames)
        chosen = np.unique(np.linspace(0, total - 1, min(MOST_FRAMES, total)).round().astype(int)) if total else ()
        yield from (part.frames[index] for index in chosen)
