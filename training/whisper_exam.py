"""Evaluates `models/whisper-pocket` on phrases and voices that it was not trained on, in the project's environment.

    .venv/bin/python training/whisper_exam.py models/whisper-pocket

Needs espeak-ng, Debian's package of that name. Says the word error rate (words wrong, missing or too many, a word that
was said), how many phrases came out without an error, and how often the language was recognised.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from whisper_speech import RATE_HZ, UNTRAINED, Phrase, exam_phrases, speak


def errors(expected: list[str], found: list[str]) -> int:
    """Return the fewest words to change, leave out or add that lead from one to the other (Levenshtein)."""
    costs = list(range(len(found) + 1))
    for row, word in enumerate(expected, 1):
        diagonal, costs[0] = costs[0], row
        for column, heard in enumerate(found, 1):
            changed = diagonal + (word != heard)
            diagonal = costs[column]
            costs[column] = min(costs[column] + 1, costs[column - 1] + 1, changed)
    return costs[-1]


def group(phrase: Phrase) -> str:
    """Say which row of the table a phrase belongs to."""
    if phrase.language == "de":
        return "German digits"
    return "English, voices never heard" if phrase.voice in UNTRAINED else "English, trained voices"


def examine(pipeline: Any, phrases: list[Phrase]) -> None:
    """Print a table."""
    wrong: Counter[str] = Counter()
    words: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    recognised, seconds, spent = 0, 0.0, 0.0
    for phrase in phrases:
        sound = speak(phrase).sound.astype(np.float32) / 32768
        began = time.process_time()
        result = pipeline.generate(sound.tolist())
        spent += time.process_time() - began
        seconds += len(sound) / RATE_HZ
        missed, row = errors(list(phrase.words), result.texts[0].split()), group(phrase)
        wrong[row] += missed
        words[row] += len(phrase.words)
        exact[row] += not missed
        asked[row] += 1
        recognised += result.language == phrase.language
    for row, count in asked.items():
        print(f"{row:28} word error rate {wrong[row] / words[row]:.4f}  exact {exact[row]:3} of {count:3}")
    print(f"language recognised {recognised} of {len(phrases)}")
    print(f"{seconds:.0f} s of sound in {spent:.1f} s of CPU time")


def main() -> None:
    """Evaluate the model of a folder."""
    import openvino_genai

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    examine(openvino_genai.WhisperPipeline(str(options.folder), "CPU"), exam_phrases(random.Random(0)))


if __name__ == "__main__":
    main()
