"""What a Whisper's tokens mean: the special ones by their numbers, the others as bytes of UTF-8."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

TICK_S: Final = 0.02
"""Seconds between two timestamp tokens."""
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese put no spaces between words."""


class SpeechVocabulary:
    """The tokens of one model's folder."""

    def __init__(self, folder: Path, tokenizer: Any) -> None:
        """Read the folder's generation_config.json. tokenizer: openvino_genai's, which has no types."""
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        self._tokenizer = tokenizer
        self._bytes = {number: piece for piece, number in tokenizer.get_vocab().items()}
        self.languages: dict[str, int] = {
            token.strip("<|>"): number for token, number in (config.get("lang_to_id") or {}).items()
        }
        self.tasks: dict[str, int] = config.get("task_to_id") or {}
        self.start: int = config["decoder_start_token_id"]
        self.end: int = config["eos_token_id"]
        self.no_timestamps: int = config["no_timestamps_token_id"]
        self.no_speech: int = self.no_timestamps - 1
        self.first_time: int = self.no_timestamps + 1
        self.previous: int = config.get("prev_sot_token_id") or self.no_timestamps - 2
        self.longest: int = int(config.get("max_length") or 448)
        self.longest_start: int = int(config.get("max_initial_timestamp_index") or 50)
        self.suppressed = np.array(config.get("suppress_tokens") or [], np.int64)
        self.suppressed_first = np.array(config.get("begin_suppress_tokens") or [], np.int64)

    def opening(self, language: str | None, task: str) -> list[int]:
        """Return the tokens between the start and the text. Models of one language have none."""
        number = self.languages.get(language or "")
        return [] if number is None else [number, *([self.tasks[task]] if task in self.tasks else [])]

    def prompt(self, text: str) -> list[int]:
        """Return the tokens that go before the start, a text as what was said before: the end of a long text."""
        if not text.strip():
            return []
        tokens = self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False).input_ids.data[0].tolist()
        return [self.previous, *tokens[-(self.longest // 2 - 1) :]]

    def text(self, tokens: Iterable[int]) -> str:
        """Return the words of tokens; special ones say nothing."""
        return self.raw_text(tokens).strip()

    def raw_text(self, tokens: Iterable[int]) -> str:
        """Return the words of tokens with the space before them that their script has."""
        return self._raw(tokens).decode("utf-8", "replace")

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """Return the words of text tokens, each with the place of its first token and the one behind its last.

        A word is what stands between spaces; of scripts without spaces it is a character. Tokens that hold parts of a
        character belong together. Joined by what was between them, the words are the text.
        """
        found: list[tuple[str, int, int]] = []
        begin = 0
        for place in range(1, len(tokens) + 1):
            piece = self._raw(tokens[begin:place])
            try:
                text = piece.decode("utf-8")
            except UnicodeDecodeError:
                if place < len(tokens):
                    continue
                text = piece.decode("utf-8", "replace")
            if found and not self._begins_word(text, found[-1][0]):
                before, start, _ = found.pop()
                found.append((before + text, start, place))
            else:
                found.append((text, begin, place))
            begin = place
        return [(text.strip(), start, end) for text, start, end in found if text.strip()]

    def _begins_word(self, text: str, before: str) -> bool:
        if not text.strip():
            return True
        if not before.strip():
            return False  # a space of its own goes with what follows
        return text[0].isspace() or bool(_UNSPACED.match(text[0]) or _UNSPACED.match(before[-1]))

    def _raw(self, tokens: Iterable[int]) -> bytes:
        return b"".join(self._bytes.get(token, b"") for token in tokens if token < self.end)
