"""Text of page images: PP-OCRv6 on OpenVINO through rapidocr, whose wheel carries the models (nothing is downloaded).

Measured: 3.9 s an A4 page at 200 dpi on two cores, recall 0.991; onnxruntime needs 10 to 14 s. The angle classifier is
off: it turns upright lines over (recall 0.950). An instance is not thread-safe on OpenVINO: one a process.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed import inference  # noqa: F401 - before rapidocr imports openvino, which sends an event at its import otherwise
from fastembed.documents.faults import EngineFailed
from fastembed.inference.library.opening import OPENING

Recognised = tuple[str, tuple[float, float, float, float], float]

_STRIP: Final = 100


class PageReader:
    """Reads the lines of page images. The models load with the first page (1 s)."""

    def __init__(self, threads: int = 2) -> None:
        """`threads`: that OpenVINO may use."""
        self._threads = threads
        self._engine: Any = None  # rapidocr has no types

    def rest(self) -> None:
        """Release the models and their work space (measured: 740 of 930 MB) until the next page."""
        if self._engine is not None:
            self._engine = None
            gc.collect()
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps freed memory otherwise
            if trim is not None:
                trim(0)

    def __call__(self, image: NDArray[np.uint8]) -> list[Recognised]:
        """Return the lines on a page.

        In: uint8 [height, width, 3], RGB. Out: for each line its text, its box (left, top, right, bottom in pixels) and
        a confidence from 0.5 to 1, in the detector's order (top to bottom, then left to right).

        EngineFailed: OpenVINO failed, or found no memory.
        """
        if max(image.shape[:2]) > _STRIP * min(image.shape[:2]):
            return []  # a rule or a border: the detector, which sees at most 2000 pixels a side, refuses it
        if self._engine is None:
            with _engine_faults("load"), OPENING:
                self._engine = _engine(self._threads)
        with _engine_faults("read a page"):
            found = self._engine(np.ascontiguousarray(image[:, :, ::-1]))  # it expects BGR, as OpenCV has it
        if found.boxes is None or found.txts is None:
            return []
        boxes = np.asarray(found.boxes, dtype=float)  # [lines, 4 corners, x and y]
        corners = np.concatenate([boxes.min(axis=1), boxes.max(axis=1)], axis=1).tolist()
        return [
            (text, (left, top, right, bottom), float(score))
            for text, (left, top, right, bottom), score in zip(found.txts, corners, found.scores, strict=True)
        ]


@contextmanager
def _engine_faults(task: str) -> Iterator[None]:
    """Raise what OpenVINO says, and memory that it lacks, as a fault of the machine."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise EngineFailed(f"the text recognition could not {task} ({type(error).__name__})") from error


def _engine(threads: int) -> Any:
    from rapidocr import EngineType, RapidOCR

    parameters = {f"{stage}.engine_type": EngineType.OPENVINO for stage in ("Det", "Cls", "Rec")}
    return RapidOCR(
        params={
            **parameters,
            "Global.use_cls": False,
            "Global.log_level": "error",
            "EngineConfig.openvino.inference_num_threads": threads,
        }
    )
