"""Evaluates `models/vision-pocket` on pictures that it was not trained on, with the project's own environment.

    .venv/bin/python training/vision_exam.py models/vision-pocket [--pictures 400]

Pictures are drawn with another seed, at other sizes, and go through PNG or JPEG as clients send them.
"""

from __future__ import annotations

import argparse
import io
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from shapes import NUMBERS, Scene, draw, some_scene, spoiled


def sent(scene: Scene, rng: random.Random) -> np.ndarray:
    """Return a picture as a client sends it: uint8 [side, side, 3]."""
    file = io.BytesIO()
    draw(scene, rng, rng.choice((80, 150, 200, 256, 320))).save(file, rng.choice(("PNG", "JPEG")))
    return np.asarray(spoiled(Image.open(file).convert("RGB"), rng), np.uint8)


def ask(pipeline: Any, question: str, *pictures: np.ndarray) -> str:
    """Return the model's likeliest answer."""
    import openvino
    import openvino_genai

    config = openvino_genai.GenerationConfig(max_new_tokens=40, do_sample=False)
    images = [openvino.Tensor(np.ascontiguousarray(picture)) for picture in pictures]
    return str(pipeline.generate(question, images=images, generation_config=config).texts[0])


def examine(pipeline: Any, pictures: int) -> dict[str, float]:
    """Return the share of right answers by kind of question."""
    rng = random.Random(2026)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()

    def note(kind: str, found: str, expected: str) -> None:
        asked[kind] += 1
        right[kind] += found == expected

    for place in range(pictures):
        scene = some_scene(rng)
        picture = sent(scene, rng)
        named = ask(pipeline, "What is in this image?", picture)
        note("all of colour, shape and count", named, scene.named)
        note("colour", ask(pipeline, "what colour is it?", picture), scene.colour)
        note("shape", ask(pipeline, "What shape is it?", picture), scene.shape)
        note("count", ask(pipeline, "How many are there?", picture), NUMBERS[scene.count - 1])
        if place % 4 == 0:
            other = some_scene(rng)
            expected = f"first: {scene.named}, second: {other.named}"
            note(
                "two pictures, all of both", ask(pipeline, "compare the pictures", picture, sent(other, rng)), expected
            )
    return {kind: right[kind] / asked[kind] for kind in asked}


def main() -> None:
    """Print a table."""
    import openvino_genai

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=400)
    options = parser.parse_args()
    pipeline = openvino_genai.VLMPipeline(str(options.folder), "CPU")
    for kind, share in examine(pipeline, options.pictures).items():
        print(f"{kind:34} {share:.3f}")
    print(f"{'no picture':34} {ask(pipeline, 'hello')!r} {ask(pipeline, 'what is this?')!r}")


if __name__ == "__main__":
    main()
