"""What an embedding model wants before a text: E5 models, for one, were trained with `query: ` and `passage: `."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fastembed.inference.library.model_config import read_json

Purpose = Literal["query", "document"]
FILE: Final = "config_sentence_transformers.json"
_DOCUMENT_NAMES: Final = ("document", "passage", "corpus", "text")


@dataclass(frozen=True, slots=True)
class Prompts:
    """What stands before a question that is searched with, and before a text that is to be found; often nothing."""

    query: str = ""
    document: str = ""

    def before(self, text: str, purpose: Purpose) -> str:
        """Return the text as the model wants it; one that has its prompt already stays as it is."""
        prompt = self.query if purpose == "query" else self.document
        return text if text.startswith(prompt) else prompt + text


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """What a declaration says of an embedding model. prompts: None, as its files say."""

    prompts: Prompts | None = None
    parts: tuple[Path, ...] = ()


def read_prompts(folder: Path) -> Prompts:
    """Return the prompts that sentence-transformers keeps in the model's folder."""
    found = read_json(folder / FILE).get("prompts")
    return prompts_of(found) if isinstance(found, Mapping) else Prompts()


def prompts_of(named: Mapping[Any, Any]) -> Prompts:
    """Return the two prompts of a map of names to texts; documents go by several names."""
    document = next((named[name] for name in _DOCUMENT_NAMES if named.get(name)), "")
    return Prompts(str(named.get("query") or ""), str(document))
