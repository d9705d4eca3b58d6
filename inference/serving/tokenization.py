"""The tokenizers of models, for callers who count or cut texts themselves.

They are loaded apart from the models, from the same files: a model need not be in memory to count a text for it, and
those of chat models live in another process.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from fastembed.inference.engines.chat.folder import model_path
from fastembed.inference.engines.chat.template import ChatTemplate
from fastembed.inference.engines.encoder.tokenize import FastTokenizer
from fastembed.inference.library.catalog import AUTO, Catalog, LocatedModel, capabilities
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.payload.chat import ChatRequest

_KEPT: Final = 4
"""How many are kept: one takes some tens of megabytes."""
_CHATS: Final = frozenset({"chat", "code"})


class TextTokenizer(Protocol):
    """A model's tokenizer. Its calls block, for long texts up to seconds. vocabulary: ids are below it."""

    vocabulary: int

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the ids. special: with those that the tokenizer puts around every text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text, special tokens included."""

    def render(self, request: ChatRequest) -> str:
        """Return the text that a conversation becomes. InvalidInput: the model has no conversations."""


class ModelTokens:
    """A tokenizer and what it belongs to. window: most tokens of the model, None: unknown."""

    def __init__(self, model: LocatedModel, tokenizer: TextTokenizer) -> None:
        self.model = model.name
        self.window = capabilities(model).window
        self._tokenizer = tokenizer

    async def encode(self, text: str | ChatRequest, *, special: bool) -> list[int]:
        """Return the ids of a text, or of a conversation as the model sees it. Raises what its template does."""
        return await asyncio.to_thread(self._encode, text, special=special)

    def _encode(self, text: str | ChatRequest, *, special: bool) -> list[int]:
        if isinstance(text, ChatRequest):
            return self._tokenizer.encode(self._tokenizer.render(text), special=False)
        return self._tokenizer.encode(text, special=special)

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids. InvalidInput: one is beyond the vocabulary."""
        if ids and max(ids) >= self._tokenizer.vocabulary:
            raise InvalidInput(
                f"found the token id {max(ids)}, expected whole numbers of 0 to {self._tokenizer.vocabulary - 1}, the "
                f"vocabulary of {self.model}",
                param="tokens",
            )
        return await asyncio.to_thread(self._tokenizer.decode, ids)

    async def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the text of each id by itself."""
        return await asyncio.to_thread(lambda: [self._tokenizer.decode([one]) for one in ids])


class Tokenizers:
    """Finds and keeps tokenizers; for one event loop."""

    def __init__(self, catalog: Catalog) -> None:
        """Find models in this catalog."""
        self._catalog = catalog
        self._kept: OrderedDict[Path, TextTokenizer] = OrderedDict()
        self._loading = asyncio.Lock()

    async def of(self, name: str) -> ModelTokens:
        """Return the tokenizer of a model; "auto": of the first chat model. ModelNotFound: no such model or files."""
        model = self._located(name)
        folder = model.folder
        if folder is None:  # pragma: no cover - `place` has raised
            raise ModelNotFound(f"found no files of {name}", param="model")
        async with self._loading:
            if folder not in self._kept:
                self._kept[folder] = await asyncio.to_thread(_load, model, folder)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(folder)
            return ModelTokens(model, self._kept[folder])

    def _located(self, name: str) -> LocatedModel:
        known = {other: model for model in self._catalog.placed() for other in (model.name, *model.spec.aliases)}
        found = None if name == AUTO else known.get(self._catalog.aliases.get(name, name))
        return self._catalog.place(name, (found.task if found else None) or "chat")


class _ChatTokens:
    """A chat model's, read as its engine reads it."""

    def __init__(self, name: str, folder: Path) -> None:
        import openvino_genai as genai

        with OPENING:
            self._tokenizer = genai.Tokenizer(model_path(folder))
        self._template = ChatTemplate(self._tokenizer, name)
        self.vocabulary = max(self._tokenizer.get_vocab().values(), default=-1) + 1

    def encode(self, text: str, *, special: bool) -> list[int]:
        return self._template.encode(text, whole=special) if text else []

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False)) if ids else ""

    def render(self, request: ChatRequest) -> str:
        return self._template.render(request)


class _EncoderTokens:
    """An encoder's: an embedding model's or a reranker's."""

    def __init__(self, name: str, file: Path) -> None:
        self._name = name
        self._tokenizer: Any = FastTokenizer(file)
        self.vocabulary: int = self._tokenizer.vocabulary

    def encode(self, text: str, *, special: bool) -> list[int]:
        return list(self._tokenizer.ids(text, special=special))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids))

    def render(self, _: ChatRequest) -> str:
        raise InvalidInput(f"found messages, expected a prompt: {self._name} has no conversations", param="messages")


def _load(model: LocatedModel, folder: Path) -> TextTokenizer:
    if model.task in _CHATS:
        return _ChatTokens(model.name, folder)
    if (folder / "tokenizer.json").is_file():
        return _EncoderTokens(model.name, folder / "tokenizer.json")
    raise InvalidInput(f"found no tokenizer.json in the folder of {model.name}, expected one", param="model")
