"""From text to token ids, complete with the model's special tokens, at any length.

`tokenizer.json` files often carry the padding and truncation that they were saved with (all-MiniLM-L6-v2's pads and
cuts at 128): both are switched off here. Length is the caller's decision, padding the batch's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import ModelNotFound

_PROBE = "a"


class Tokenizer(Protocol):
    """What an embedding model needs of a tokenizer."""

    vocabulary: int
    """Token ids are below this; 0 where the folder does not say."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included, neither cut nor padded."""

    def complete(self, ids: Sequence[int]) -> list[int]:
        """Add the special tokens around a caller's own ids, unless they are there."""

    def cut(self, ids: list[int], window: int) -> list[int]:
        """Shorten to `window` ids; the special tokens at the end stay."""


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json`, else `openvino_tokenizer.xml`. ModelNotFound says what was looked for."""
    if (folder / "tokenizer.json").is_file():
        return FastTokenizer(folder / "tokenizer.json")
    if (folder / "openvino_tokenizer.xml").is_file():
        return GraphTokenizer(folder / "openvino_tokenizer.xml")
    raise ModelNotFound(f"found neither tokenizer.json nor openvino_tokenizer.xml in {folder}, expected one of them")


class _Framed:
    """Knows the special tokens around a text, found by encoding one word with and without them."""

    def __init__(self, framed: list[int], bare: list[int]) -> None:
        start = next((i for i in range(len(framed)) if framed[i : i + len(bare)] == bare), 0)
        self.prefix = framed[:start]
        self.suffix = framed[start + len(bare) :]

    def complete(self, ids: Sequence[int]) -> list[int]:
        """Add what is missing of prefix and suffix."""
        found = list(ids)
        if self.prefix and found[: len(self.prefix)] != self.prefix:
            found = self.prefix + found
        if self.suffix and found[-len(self.suffix) :] != self.suffix:
            found = found + self.suffix
        return found

    def cut(self, ids: list[int], window: int) -> list[int]:
        """Keep the suffix, drop what stands before it."""
        return ids if len(ids) <= window else ids[: window - len(self.suffix)] + self.suffix


class FastTokenizer(_Framed):
    """A `tokenizer.json`, read by the tokenizers library: the GIL is free while it works on several texts."""

    def __init__(self, file: Path) -> None:
        """Load the file."""
        import tokenizers

        self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocabulary: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        bare: list[int] = self._tokenizer.encode(_PROBE, add_special_tokens=False).ids
        super().__init__(self._tokenizer.encode(_PROBE).ids, bare)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def ids(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of one text, with or without the special tokens around it."""
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


class GraphTokenizer(_Framed):
    """An `openvino_tokenizer.xml` (openvino-tokenizers), for folders without `tokenizer.json`.

    Its truncation is part of the graph: a text longer than that comes out cut, and cannot be told from one that fits.
    """

    def __init__(self, file: Path) -> None:
        """Load and compile the file; always on the CPU."""
        import openvino
        import openvino_tokenizers  # noqa: F401 - registers the operations that the graph is made of

        with OPENING:
            core = openvino.Core()
            model = core.read_model(file)
            self._request = core.compile_model(model, "CPU").create_infer_request()
        self._request_outputs = {name: i for i, out in enumerate(model.outputs) for name in out.get_names()}
        self.vocabulary = _vocabulary_of(file.parent)
        framed = self.encode([_PROBE])[0]
        middle = len(framed) // 2
        super().__init__(framed, framed[middle : middle + 1])

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        import openvino

        self._request.infer([openvino.Tensor(list(texts))])
        ids, mask = (
            self._request.get_output_tensor(self._request_outputs[name]).data
            for name in ("input_ids", "attention_mask")
        )
        return [row[keep.astype(bool)].tolist() for row, keep in zip(np.asarray(ids), np.asarray(mask), strict=True)]


def _vocabulary_of(folder: Path) -> int:
    config = folder / "config.json"
    return int(json.loads(config.read_text(encoding="utf-8")).get("vocab_size", 0)) if config.is_file() else 0
