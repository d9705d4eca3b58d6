"""A BERT-like model on one device: batches of token ids in, a row of numbers each out, off the event loop.

`start` fills the input tensors and starts the inference on the caller's thread, so the device begins without waiting
for another Python thread to get the GIL. One waiter thread a slot then blocks in OpenVINO (GIL released) and reports
the end or the error: OpenVINO's own callbacks are not called at all when an inference fails.

An NPU compiles for fixed shapes. There the model is compiled once for each of a few lengths, with one row; an input
takes the shortest that holds it, and no more of it is padding than need be.
"""

from __future__ import annotations

import queue
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.encoder.folder import EncoderTraits
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.devices import Devices
from fastembed.pipeline.errors import ModelNotFound

Outputs = NDArray[np.float32]
Done = Callable[[Any, Exception | None], None]
_PATIENCE_S: Final = 10.0
LENGTHS: Final = (32, 64, 128, 256)
"""Static lengths, in tokens, below the window's. Each is compiled when the model is loaded."""


class Pair(list[int]):
    """Two texts as one row of token ids. kinds: of each token, 0 for the first text, 1 for the second."""

    __slots__ = ("kinds",)

    def __init__(self, ids: Sequence[int], kinds: Sequence[int]) -> None:
        super().__init__(ids)
        self.kinds = kinds


def static_lengths(device: str, window: int) -> tuple[int, ...]:
    """Return the lengths to compile for on a device; none: any length will do."""
    return (*(length for length in LENGTHS if length < window), window) if traits_of(device).fixed_shapes else ()


class EncoderEngine:
    """Compiled model and its infer requests. `start` may be called while fewer than `slots` batches run.

    window: longest row, in tokens. lengths: the static ones, ascending; none: rows share a batch of any shape.
    """

    def __init__(
        self,
        model: Any,
        traits: EncoderTraits,
        devices: Devices,
        device: str,
        *,
        lengths: Sequence[int] | None = None,
        **properties: Any,
    ) -> None:
        """Compile an openvino.Model with one output [n, d]; `properties` override the device's compile properties.

        lengths: static ones to compile for, by default what the device needs. Raises ModelNotFound for inputs that are
        not an encoder's, RuntimeError when the device cannot compile it.
        """
        import openvino

        self.window = traits.window
        self.lengths = static_lengths(device, traits.window) if lengths is None else tuple(lengths)
        self.slots = devices.streams(device)
        self.tokens = 0
        self.computed = 0
        self._tensor = openvino.Tensor
        self._inputs = [_input_of(port, traits) for port in model.inputs]
        options = devices.properties(device, traits.folder) | properties
        shapes = [_fixed(model, length) for length in self.lengths] or [model]
        compiled = [devices.core.compile_model(shape, device, options) for shape in shapes]
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._slots = [
            _Slot([shape.create_infer_request() for shape in compiled], self._free) for _ in range(self.slots)
        ]

    @property
    def padding(self) -> float:
        """The part of all computed tokens that were padding, 0 to 1."""
        return 1 - self.tokens / self.computed if self.computed else 0.0

    def cost(self, row: Sequence[int]) -> int:
        """Return how many tokens are computed for a row that has a batch for itself."""
        return self.lengths[self._shape(len(row))] if self.lengths else len(row)

    def start(self, payloads: Sequence[Sequence[int]], done: Done) -> None:
        """Compute rows of token ids; calls `done(float32 [n, d], None)` or `done(None, error)` from another thread.

        Raises RuntimeError when every slot is busy, or for more than one row where shapes are static.
        """
        if self.lengths and len(payloads) > 1:
            raise RuntimeError(f"found {len(payloads)} rows in a batch, expected one: the shapes are static")
        try:
            slot = self._free.get_nowait()
        except queue.Empty:
            raise RuntimeError(f"found all {self.slots} infer requests busy, expected a free one") from None
        try:
            longest = max(map(len, payloads))
            shape = self._shape(longest)
            padded = self.lengths[shape] if self.lengths else longest
            arrays = [fill(payloads, padded) for fill in self._inputs]
            request = slot.requests[shape]
            for index, array in enumerate(arrays):
                request.set_input_tensor(index, self._tensor(array, shared_memory=True))
            request.start_async()
        except BaseException:  # raised again: a slot that is not given back is lost for good
            self._free.put(slot)
            raise
        self.tokens += sum(map(len, payloads))
        self.computed += padded * len(payloads)
        slot.watch(request, arrays, done)

    def infer(self, payloads: Sequence[Sequence[int]]) -> Outputs:
        """Compute and wait: for warm-up and measuring."""
        ended: queue.SimpleQueue[tuple[Outputs | None, Exception | None]] = queue.SimpleQueue()
        self.start(payloads, lambda outputs, error: ended.put((outputs, error)))
        outputs, error = ended.get()
        if outputs is None:
            raise error or RuntimeError("the inference ended with neither values nor an error")
        return outputs

    def warm(self, ids: Sequence[int]) -> None:
        """Compute a few shapes, made of these ids, so that the first request finds everything compiled and paged in."""
        dynamic = ((1, 8), (8, 16), (8, 32), (1, self.window))
        for rows, length in [(1, length) for length in self.lengths] or dynamic:
            self.infer([(list(ids) * length)[:length]] * rows)
        self.tokens = self.computed = 0

    def close(self) -> None:
        """Wait for what runs and end the waiter threads."""
        for slot in self._slots:
            slot.stop()
        self._slots.clear()

    def _shape(self, length: int) -> int:
        """Return which compiled shape holds a row of this length."""
        return min(bisect_left(self.lengths, length), max(0, len(self.lengths) - 1))


def _fixed(model: Any, length: int) -> Any:
    fixed = model.clone()
    fixed.reshape({port: [1, length] for port in fixed.inputs})
    return fixed


class _Slot:
    """One infer request a shape, of which one runs at a time, and the thread that waits for it."""

    def __init__(self, requests: list[Any], free: queue.SimpleQueue[_Slot]) -> None:
        self.requests = requests
        self._free = free
        self._watched: queue.SimpleQueue[tuple[Any, list[NDArray[Any]], Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._wait, name="encoder-waiter", daemon=True)
        self._thread.start()
        free.put(self)

    def watch(self, request: Any, arrays: list[NDArray[Any]], done: Done) -> None:
        """Report the end of the started inference; the arrays live until then."""
        self._watched.put((request, arrays, done))

    def stop(self) -> None:
        """End the thread after the inference that it waits for, and let go of the model."""
        self._watched.put(None)
        self._thread.join(_PATIENCE_S)  # a call that hangs is left behind
        self.requests.clear()  # the line of free slots and its slots hold each other: that keeps no model in memory

    def _wait(self) -> None:
        while watched := self._watched.get():
            request, _, done = watched
            outputs: Outputs | None = None
            error: Exception | None = None
            try:
                request.wait()
                outputs = np.array(request.get_output_tensor(0).data, dtype=np.float32)
            except Exception as caught:  # noqa: BLE001 - a thread's boundary: the error travels to the batch's owner
                error = caught
            self._free.put(self)
            done(outputs, error)


Fill = Callable[[Sequence[Sequence[int]], int], NDArray[Any]]


def _input_of(port: Any, traits: EncoderTraits) -> Fill:
    """Return the function that makes this input's array [n, longest] for a batch of rows."""
    names: set[str] = port.get_names()
    dtype = np.dtype(port.get_element_type().to_dtype())
    if "input_ids" in names:
        return lambda rows, longest: _ids(rows, longest, dtype, traits.padding_id)
    for name, fill in (("attention_mask", _mask), ("token_type_ids", _kinds), ("position_ids", _positions)):
        if name in names:
            return lambda rows, longest: fill(rows, longest, dtype)
    raise ModelNotFound(
        f"found the input {sorted(names)} in {traits.folder}, "
        "expected input_ids, attention_mask, token_type_ids, position_ids"
    )


def _ids(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any], padding_id: int) -> NDArray[Any]:
    ids = np.full((len(rows), longest), padding_id, dtype)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def _kinds(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    kinds = np.zeros((len(rows), longest), dtype)
    for row, values in zip(kinds, rows, strict=True):
        if isinstance(values, Pair):
            row[: len(values)] = values.kinds
    return kinds


def _mask(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return (np.arange(longest) < lengths[:, None]).astype(dtype)


def _positions(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.tile(np.arange(longest, dtype=dtype), (len(rows), 1))
