"""A vocabulary of ten words, for what needs no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fastembed.inference.engines.speech.vocabulary import SpeechVocabulary

END, START, ENGLISH, GERMAN, TRANSCRIBE, NO_SPEECH, NO_TIMES, FIRST = 20, 21, 22, 23, 24, 25, 26, 27
SIZE = FIRST + 1_501
PIECES = [" the", " cat", " sat", ".", " can", "'t", "\u4f60", "\u597d", " naï", "ve"]


class Tokenizer:
    """What SpeechVocabulary needs of a tokenizer."""

    def get_vocab(self) -> dict[bytes, int]:
        """Return bytes by number, and two halves of a character."""
        vocab = {piece.encode(): number for number, piece in enumerate(PIECES)}
        return {**vocab, "\u732b".encode()[:1]: 10, "\u732b".encode()[1:]: 11}

    def encode(self, text: str, *, add_special_tokens: bool) -> Any:
        """Return a token a word."""
        assert not add_special_tokens
        ids = np.array([[PIECES.index(f" {word}") for word in text.split()]])
        return type("Encoded", (), {"input_ids": type("Ids", (), {"data": ids})})


def vocabulary(folder: Path, **changes: Any) -> SpeechVocabulary:
    """Return the vocabulary of a folder that has just its configuration."""
    config = {
        "lang_to_id": {"<|en|>": ENGLISH, "<|de|>": GERMAN},
        "task_to_id": {"transcribe": TRANSCRIBE},
        "decoder_start_token_id": START,
        "eos_token_id": END,
        "no_timestamps_token_id": NO_TIMES,
        "max_length": 40,
        "suppress_tokens": [3],
        "begin_suppress_tokens": [END],
        **changes,
    }
    (folder / "generation_config.json").write_text(json.dumps(config))
    return SpeechVocabulary(folder, Tokenizer())
