"""Evaluates `models/docling-pocket` with the product's own engine, on pages that it was not trained on.

    python training/docling_exam.py models/docling-pocket 500

Says how many pages come out as the very DocTags that are right, and how many words stand in their right order.
"""

from __future__ import annotations

import random
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fastembed.inference.engines.docling.engine import DoclingEngine
from training.docling_pages import compose, doctags, draw

SEED = 1_000_000  # training draws from 0
AT_ONCE = 8


def main() -> None:
    """Print the figures."""
    engine, count = DoclingEngine(Path(sys.argv[1])), int(sys.argv[2])
    rng = random.Random(SEED)
    pages = [compose(rng) for _ in range(count)]
    images = [draw(page, rng)[0] for page in pages]
    began, found = time.perf_counter(), []
    for start in range(0, count, AT_ONCE):
        found += engine.read(images[start : start + AT_ONCE])
    seconds = time.perf_counter() - began
    right = [doctags(page) for page in pages]
    exact = sum(written.text == wanted for written, wanted in zip(found, right, strict=True))
    wrong = sum(distance(words(w.text), words(wanted)) for w, wanted in zip(found, right, strict=True))
    total = sum(len(words(wanted)) for wanted in right)
    tokens = sum(written.token_count for written in found)
    print(f"exact DocTags {exact / count:.3f} of {count} pages, words {1 - wrong / total:.4f} of {total}")
    print(f"{count / seconds:.1f} pages/s, {tokens / seconds:.0f} tokens/s, {AT_ONCE} at once")


def words(text: str) -> list[str]:
    """Return the words of DocTags, without the tags."""
    return re.sub(r"<[^>]*>", " ", text).split()


def distance(found: list[str], wanted: list[str]) -> int:
    """Return the fewest words to put in, take out or change."""
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(found, 1):
        above, row = row, [i]
        for j, other in enumerate(wanted, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))
    return row[-1]


if __name__ == "__main__":
    main()
