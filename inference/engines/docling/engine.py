"""Idefics3 on plain OpenVINO: pictures of pages in, DocTags out. genai's own pipeline refuses this architecture.

An exported folder holds three networks: a vision encoder (tiles to vectors of the decoder's width), token embeddings
(token ids to vectors) and a decoder, a language model that keeps its keys and values itself. The vectors of a prompt's
`<image>` tokens are replaced by the vision encoder's; then tokens are taken greedily, one a step, for several pages at
a time: shorter prompts are padded on the left, and pages that are done leave the batch, by naming the remaining rows in
`beam_idx`.

One object serves one caller at a time. It computes in the thread that calls it, and its home is a process of its own
(`model.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastembed.inference.engines.docling.folder import DECODER, EMBEDDINGS, VISION_ENCODER, read_traits
from fastembed.inference.engines.docling.repetition import Repetition
from fastembed.inference.engines.docling.tiles import cut, image_tokens, positions
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import TooLarge

Ending = Literal["end", "length", "loop", "garbled"]

PROMPT: Final = "Convert this page to docling."
MAX_TOKENS: Final = 8192
_PICTURE: Final = "<image>"
_ASIDE: Final = "\0"


@dataclass(frozen=True, slots=True)
class Written:
    """What a page became. ending: why it ends there; only "end" is the model's own decision."""

    text: str
    token_count: int
    ending: Ending


@dataclass(slots=True)
class _Page:
    """A page under way: its prompt as vectors float32 [tokens, width], and what has been written."""

    prompt: NDArray[np.float32]
    tokens: list[int] = field(default_factory=list)
    repetition: Repetition = field(default_factory=Repetition)
    ending: Ending | None = None


class DoclingEngine:
    """A loaded model that reads pages."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "CPU",
        properties: Mapping[str, Any] | None = None,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """Load a folder onto an OpenVINO device; `max_tokens` bounds a page's answer.

        Raises ModelNotFound (files are missing, another architecture), RuntimeError (OpenVINO: it does not compile).
        """
        import openvino
        import openvino_genai as genai

        self._traits = read_traits(folder)
        self._max_tokens = max_tokens
        core, options = openvino.Core(), dict(properties or {})
        with OPENING:
            self._encoder = core.compile_model(str(folder / VISION_ENCODER), device, options).create_infer_request()
            self._embeddings = core.compile_model(str(folder / EMBEDDINGS), device, options).create_infer_request()
            decoder = core.read_model(folder / DECODER)
            _keep_last_token(decoder)
            self._decoder = core.compile_model(decoder, device, options).create_infer_request()
            self._tokenizer = genai.Tokenizer(str(folder))
        self._eos = int(self._tokenizer.get_eos_token_id())
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}
        self._prompt = str(self._tokenizer.apply_chat_template([message], add_generation_prompt=True))

    def read(self, images: Sequence[Image.Image], *, left: Callable[[], bool] = lambda: False) -> list[Written]:
        """Return the DocTags of each page. left: whether the caller has gone; then they break off.

        TooLarge: a page that needs more tokens than the model's context has.
        """
        pages = [_Page(self._prompt_of(image)) for image in images]
        if pages:
            self._write(pages, left)
        return [self._written(page) for page in pages]

    def _prompt_of(self, image: Image.Image) -> NDArray[np.float32]:
        settings = self._traits.images
        tiles = cut(image, settings)
        text = self._prompt.replace(_PICTURE, image_tokens(tiles, settings), 1)
        ids = np.asarray(self._tokenizer.encode(text, add_special_tokens=False).input_ids.data, np.int64)
        if ids.shape[1] >= self._traits.window:
            raise TooLarge(
                f"found a page of {ids.shape[1]} tokens, expected fewer than the context of {self._traits.window}"
            )
        vectors: NDArray[np.float32] = self._look_up(ids)[0]
        vectors[ids[0] == self._traits.picture_token] = self._see(tiles.pixels).reshape(-1, vectors.shape[1])
        return vectors

    def _see(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [tiles, tokens, width], a tile at a time: the encoder's memory grows with its batch."""
        settings = self._traits.images
        patches = settings.tile // settings.patch
        seen = []
        for tile in pixels:
            inputs = {
                "pixel_values": tile[None],
                "patch_attention_mask": np.ones((1, patches, patches), bool),
                "patch_position_ids": positions(settings, 1),
            }
            self._encoder.infer(inputs)
            seen.append(np.array(self._encoder.get_output_tensor(0).data, np.float32)[0])
        return np.stack(seen)

    def _look_up(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        self._embeddings.infer([ids])
        return np.array(self._embeddings.get_output_tensor(0).data, np.float32)

    def _write(self, pages: list[_Page], left: Callable[[], bool]) -> None:
        """Take tokens until every page has ended."""
        longest = max(len(page.prompt) for page in pages)
        vectors = np.zeros((len(pages), longest, pages[0].prompt.shape[1]), np.float32)
        mask = np.zeros((len(pages), longest), np.int64)
        for row, page in enumerate(pages):
            vectors[row, -len(page.prompt) :] = page.prompt
            mask[row, -len(page.prompt) :] = 1
        places = np.maximum(mask.cumsum(axis=1) - 1, 0)
        rows = np.arange(len(pages), dtype=np.int32)
        self._decoder.reset_state()
        while pages and not left():
            inputs = {"inputs_embeds": vectors, "attention_mask": mask, "position_ids": places, "beam_idx": rows}
            self._decoder.infer(inputs)
            logits = self._decoder.get_tensor("logits").data[:, -1]
            chosen = logits.argmax(axis=1)
            finite = np.isfinite(logits[np.arange(len(chosen)), chosen])
            for page, token, good in zip(pages, chosen.tolist(), finite.tolist(), strict=True):
                self._take(page, token, garbled=not good)
            rows = np.array([row for row, page in enumerate(pages) if page.ending is None], np.int32)
            pages = [page for page in pages if page.ending is None]
            mask = np.concatenate([mask[rows], np.ones((len(rows), 1), np.int64)], axis=1)
            places = places[rows, -1:] + 1
            vectors = self._look_up(chosen[rows, None].astype(np.int64)) if pages else vectors

    def _take(self, page: _Page, token: int, *, garbled: bool) -> None:
        """Add a token to a page, or end it."""
        if garbled:
            page.ending = "garbled"
        elif token == self._eos:
            page.ending = "end"
        else:
            page.tokens.append(token)
            room = min(self._max_tokens, self._traits.window - len(page.prompt))
            if page.repetition.add(token):
                page.ending = "loop"
            elif len(page.tokens) >= room:
                page.ending = "length"

    def _written(self, page: _Page) -> Written:
        text = str(self._tokenizer.decode(page.tokens, skip_special_tokens=False)) if page.tokens else ""
        return Written(text, len(page.tokens), page.ending or "length")


def _keep_last_token(decoder: Any) -> None:
    """Have the model compute the scores of the last token only: a page's prompt times 100 000 words are 400 MB."""
    from openvino import opset13 as ops

    node = decoder.output("logits").node.input_value(0).get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "MatMul":
        return  # scores that are scaled or capped first: they are many, and right all the same
    states = node.input_value(0)
    last = ops.slice(states, np.array([-1]), np.array([np.iinfo(np.int64).max]), np.array([1]), np.array([1]))
    node.input(0).replace_source_output(last.output(0))
    decoder.validate_nodes_and_infer_types()
