"""What `models:` may add to a chat model's folder: adapters, and what guesses tokens ahead.

A guess costs little and is checked by the model in one step for all guessed tokens, so that answers stay what they
would have been: speculative decoding with a smaller model (Leviathan et al., 2023), or with what the prompt says after
the same words (Saxena, prompt lookup decoding, 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_GUESSED: Final = 4
"""Tokens guessed at a time: more are wasted when a guess is wrong."""
_LONGEST_MATCH: Final = 3


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How a chat model is opened. adapters: LoRA files (safetensors) and their weights.

    draft: a smaller model's folder, of the same tokenizer. prompt_lookup: guess from the prompt.
    """

    adapters: tuple[tuple[Path, float], ...] = ()
    draft: Path | None = None
    prompt_lookup: bool = False

    @property
    def guesses(self) -> bool:
        """Whether tokens are guessed ahead."""
        return self.draft is not None or self.prompt_lookup

    @property
    def parts(self) -> tuple[Path, ...]:
        """The folders and files that are loaded with the model's own."""
        return (*([self.draft] if self.draft else []), *(file for file, _ in self.adapters))

    def properties(self, device: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a pipeline's properties are with these options; a draft model takes the same ones."""
        import openvino_genai as genai

        found = dict(properties)
        if self.draft is not None:
            found["draft_model"] = genai.draft_model(str(self.draft), device, **properties)
        if self.prompt_lookup:
            found["prompt_lookup"] = True
        if self.adapters:
            weighted = [(genai.Adapter(str(file)), weight) for file, weight in self.adapters]
            # Fixed at the load: requests that are stepped one by one cannot switch adapters, genai would ignore them
            # silently; and the prefix cache would mix what different adapters computed.
            found["adapters"] = genai.AdapterConfig(weighted, mode=genai.AdapterConfig.Mode.MODE_STATIC)
        return found

    def adjust(self, config: Any) -> Any:
        """Set what a GenerationConfig must say when tokens are guessed, and return it."""
        if self.guesses:
            config.num_assistant_tokens = _GUESSED
        if self.prompt_lookup:
            config.max_ngram_size = _LONGEST_MATCH
        return config


PLAIN: Final = ChatOptions()
"""Neither adapters nor guesses."""
