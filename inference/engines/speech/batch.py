"""Sounds that are decoded in step: one call of the decoder a token, whatever each of them has said before.

Theory of operation. The decoder's states grow by one block of tokens a call, as wide as the longest that a row brings.
What fills up a shorter row is hidden for ever, and so is what a row takes back: the rest of a draft behind the first
token that was not chosen. So rows differ in length and come to their ends at different times, and no state is ever
moved. A row that has ended is filled up until all have: a batch of fewer rows than its states answers wrongly (openvino
2026.4.1, whose attention keeps the rows it began with).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.rows import NEVER

_ROOM: Final = 64  # tokens by which the record of hidden places grows


class SoundMemory:
    """Keys and values of the sounds of a batch, where the decoder reads them: float32 [rows, heads, places, width].

    One sound is read where the encoder wrote it; several are copied side by side.
    """

    def __init__(self, outputs: int) -> None:
        self._buffers: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * outputs
        self._views: list[NDArray[np.float32]] = []
        self._room = (0, 0)
        self.places = np.empty(0, np.int64)

    def begin(self, rows: int, places: int) -> None:
        """Make room for so many sounds of up to so many places."""
        self.places = np.zeros(rows, np.int64)
        self._room = rows, places
        self._views = [np.empty(0, np.float32)] * len(self._buffers)

    def put(self, row: int, outputs: Sequence[NDArray[np.float32]]) -> None:
        """Take what the encoder made of a sound."""
        rows, places = self._room
        self.places[row] = outputs[0].shape[2]
        for number, output in enumerate(outputs):
            if rows == 1:
                self._views[number] = output
                continue
            if row == 0:
                self._views[number] = self._view(number, (rows, output.shape[1], places, output.shape[3]))
            place = self._views[number][row]
            place[:, : output.shape[2]] = output[0]
            place[:, output.shape[2] :] = 0.0  # hidden, but what is no number would not stay so

    def tensors(self) -> list[Any]:
        """Return the decoder's inputs, on this memory."""
        import openvino as ov

        return [ov.Tensor(view, shared_memory=True) for view in self._views]

    def beyond(self) -> NDArray[np.float32]:
        """Return which places are not a row's own."""
        longest = self._views[0].shape[2]
        hidden = np.where(np.arange(longest)[None] < self.places[:, None], np.float32(0.0), np.float32(NEVER))
        return np.ascontiguousarray(hidden[:, None, None, :])

    def _view(self, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        size = int(np.prod(shape))
        if self._buffers[number].size < size:
            self._buffers[number] = np.empty(size, np.float32)
        return self._buffers[number][:size].reshape(shape)


class DecoderBatch:
    """One batch from its first call to its last, on one request of the decoder."""

    def __init__(self, request: Any, memory: SoundMemory, queries: int) -> None:
        """Begin with empty states. queries: how many outputs there are behind the logits."""
        self._request = request
        self._memory = memory
        self._queries = queries
        rows = len(memory.places)
        self._lengths = np.zeros(rows, np.int64)  # of what each row said
        self._unseen = np.zeros((rows, _ROOM), np.float32)
        self._past = 0
        request.reset_state()
        self._bind()

    @property
    def rows(self) -> int:
        """How many sounds there are."""
        return len(self._lengths)

    def feed(
        self, pieces: Sequence[Sequence[int]], wanted: Sequence[int]
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Let each row say its tokens, or none; return the logits of its last `wanted` ones and what they looked for.

        Logits are [wanted, vocabulary], valid until the next call; queries [heads, wanted, width], of all layers.
        """
        width = max(map(len, pieces))
        tokens = np.zeros((self.rows, width), np.int64)
        positions = np.zeros((self.rows, width), np.int64)
        self._grow(width)
        places: list[int] = []
        for row, piece in enumerate(pieces):
            begin = width - len(piece)
            tokens[row, begin:] = piece
            positions[row, begin:] = np.arange(self._lengths[row], self._lengths[row] + len(piece))
            self._unseen[row, self._past : self._past + begin] = NEVER
            self._unseen[row, self._past + begin : self._past + width] = 0.0
            self._lengths[row] += len(piece)
            places += range((row + 1) * width - wanted[row], (row + 1) * width)
        self._past += width
        self._infer(tokens, positions, places)
        return self._results(wanted, width)

    def forget(self, row: int, count: int) -> None:
        """Take back the last tokens that a row said in the last call."""
        if count:
            self._unseen[row, self._past - count : self._past] = NEVER
            self._lengths[row] -= count

    def _bind(self) -> None:
        for number, tensor in enumerate(self._memory.tensors()):
            self._request.set_tensor(f"sound.{number}", tensor)
        self._set("beyond", self._memory.beyond())
        self._set("beam_idx", np.arange(self.rows, dtype=np.int32))

    def _grow(self, width: int) -> None:
        missing = self._past + width - self._unseen.shape[1]
        if missing > 0:
            self._unseen = np.pad(self._unseen, ((0, 0), (0, missing + _ROOM)))

    def _infer(self, tokens: NDArray[np.int64], positions: NDArray[np.int64], places: Sequence[int]) -> None:
        self._set("input_ids", tokens)
        self._set("positions", positions)
        self._set("unseen", np.ascontiguousarray(self._unseen[:, None, None, : self._past]))
        self._set("wanted", np.array(places, np.int64))
        self._request.infer()

    def _results(
        self, wanted: Sequence[int], width: int
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        flat = self._request.get_output_tensor(0).data
        layers = [self._request.get_output_tensor(1 + number).data for number in range(self._queries)]
        logits, queries, begin = [], [], 0
        for row, count in enumerate(wanted):
            logits.append(flat[begin : begin + count])
            begin += count
            if layers:
                queries.append(np.concatenate([layer[row, :, width - count :] for layer in layers]))
        return logits, queries

    def _set(self, name: str, array: NDArray[Any]) -> None:
        import openvino as ov

        self._request.set_tensor(name, ov.Tensor(array))
