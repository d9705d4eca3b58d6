"""An embedding model on one device: batches of token ids in, vectors out, several at once, off the event loop.

`start` fills the input tensors and starts the inference on the caller's thread, so the device begins without waiting
for another Python thread to get the GIL. One waiter thread a slot then blocks in OpenVINO (GIL released) and reports
the end or the error: OpenVINO's own callbacks are not called at all when an inference fails.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.devices import Devices, family
from inference.embedding.graph import prepare, read_traits
from pipeline.errors import ModelNotFound

Vectors = NDArray[np.float32]
Done = Callable[[Any, Exception | None], None]

_MODEL_FILES = ("openvino_model.xml", "model.xml")


class EmbeddingEngine:
    """Compiled model and its infer requests. `start` may be called while fewer than `slots` batches run."""

    def __init__(
        self, folder: Path, devices: Devices, device: str = "CPU", *, static: bool | None = None, **properties: Any
    ) -> None:
        """Read, prepare and compile the model of `folder`; `properties` override the device's compile properties.

        static: one input a call, padded to the window; what an NPU needs, and the default there.
        Raises ModelNotFound when the folder holds no model that this engine can run, RuntimeError when the device
        cannot compile it.
        """
        import openvino

        file = next((folder / name for name in _MODEL_FILES if (folder / name).is_file()), None)
        if file is None:
            raise ModelNotFound(f"found no {' or '.join(_MODEL_FILES)} in {folder}, expected an OpenVINO model")
        traits = read_traits(folder)
        model = prepare(devices.core.read_model(file), traits.pooling, folder)
        self.static = family(device) == "npu" if static is None else static
        if self.static:
            model.reshape({port: [1, traits.window] for port in model.inputs})
        self._padded_to = traits.window if self.static else 0
        self._compiled = devices.core.compile_model(model, device, devices.properties(device) | properties)
        self._inputs = [_input_of(port, folder) for port in self._compiled.inputs]
        self._tensor = openvino.Tensor
        self.window = traits.window
        self.dimensions: int = model.outputs[0].get_partial_shape()[1].get_length()
        self.slots = devices.streams(device)
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._slots = [_Slot(self._compiled.create_infer_request(), self._free) for _ in range(self.slots)]

    def start(self, payloads: Sequence[Sequence[int]], done: Done) -> None:
        """Embed rows of token ids; calls `done(float32 [n, d], None)` or `done(None, error)` from another thread.

        Raises RuntimeError when every slot is busy.
        """
        try:
            slot = self._free.get_nowait()
        except queue.Empty:
            raise RuntimeError(f"found all {self.slots} infer requests busy, expected a free one") from None
        try:
            longest = max(self._padded_to, *map(len, payloads))
            arrays = [fill(payloads, longest) for fill in self._inputs]
            for index, array in enumerate(arrays):
                slot.request.set_input_tensor(index, self._tensor(array, shared_memory=True))
            slot.request.start_async()
        except BaseException:
            self._free.put(slot)
            raise
        slot.watch(arrays, done)

    def infer(self, payloads: Sequence[Sequence[int]]) -> Vectors:
        """Embed and wait: for warm-up and measuring."""
        ended: queue.SimpleQueue[tuple[Vectors | None, Exception | None]] = queue.SimpleQueue()
        self.start(payloads, lambda vectors, error: ended.put((vectors, error)))
        vectors, error = ended.get()
        if vectors is None:
            raise error or RuntimeError("the inference ended with neither vectors nor an error")
        return vectors

    def close(self) -> None:
        """Wait for what runs and end the waiter threads."""
        for slot in self._slots:
            slot.stop()
        self._slots.clear()


class _Slot:
    """One infer request and the thread that waits for it."""

    def __init__(self, request: Any, free: queue.SimpleQueue[_Slot]) -> None:
        self.request = request
        self._free = free
        self._watched: queue.SimpleQueue[tuple[list[NDArray[Any]], Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._wait, name="embedding-waiter", daemon=True)
        self._thread.start()
        free.put(self)

    def watch(self, arrays: list[NDArray[Any]], done: Done) -> None:
        """Report the end of the started inference; the arrays live until then."""
        self._watched.put((arrays, done))

    def stop(self) -> None:
        """End the thread after the inference that it waits for."""
        self._watched.put(None)
        self._thread.join()

    def _wait(self) -> None:
        while watched := self._watched.get():
            _, done = watched
            vectors: Vectors | None = None
            error: Exception | None = None
            try:
                self.request.wait()
                vectors = np.array(self.request.get_output_tensor(0).data, dtype=np.float32)
            except Exception as caught:  # noqa: BLE001 - a thread's boundary: the error travels to the batch's owner
                error = caught
            self._free.put(self)
            done(vectors, error)


Fill = Callable[[Sequence[Sequence[int]], int], NDArray[Any]]


def _input_of(port: Any, folder: Path) -> Fill:
    """Return the function that makes this input's array [n, longest] for a batch of rows."""
    names: set[str] = port.get_names()
    dtype = np.dtype(port.get_element_type().to_dtype())
    for name, fill in (
        ("input_ids", _ids),
        ("attention_mask", _mask),
        ("token_type_ids", _zeros),
        ("position_ids", _positions),
    ):
        if name in names:
            return lambda rows, longest: fill(rows, longest, dtype)
    raise ModelNotFound(
        f"found the input {sorted(names)} in {folder}, expected input_ids, attention_mask, token_type_ids, position_ids"
    )


def _ids(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    ids = np.zeros((len(rows), longest), dtype)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def _mask(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return (np.arange(longest) < lengths[:, None]).astype(dtype)


def _zeros(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.zeros((len(rows), longest), dtype)


def _positions(rows: Sequence[Sequence[int]], longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.tile(np.arange(longest, dtype=dtype), (len(rows), 1))
