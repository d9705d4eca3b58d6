"""Counting tokens as the shipped embedding model does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Final

Counter = Callable[[Sequence[str]], list[int]]
"""Gives the number of tokens of each text, without the marks that a model puts around a whole input."""

MARKS: Final = 2
"""Tokens that BERT-like models put around an input: [CLS] and [SEP]."""


@functools.cache
def wordpieces() -> Counter:
    """Return a counter with the vocabulary of all-MiniLM-L6-v2, which bge and most English BERT models share.

    Counts add up over texts that are joined by white space. Other models' tokenizers differ: multilingual ones give 0.7
    to 1.3 times as many for English.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(
        (resources.files("fastembed.models") / "minilm" / "tokenizer.json").read_text("utf-8")
    )
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encoded]

    return count
