"""How good answers from documents are: the right passage, the right citation, refusals; calibrates the confidence.

python -m bench.ask                        judged.yaml: the figures of bench/README.md
python -m bench.ask --calibrate            fits the weights of operators/asking/confidence.py on calibration.yaml
python -m bench.ask --chat smollm2-135m    with a chat model's words, checked, instead of quotes
python -m bench.ask --set FILE             another set of the same form
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import yaml

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.operators.asking.confidence import FEATURES
from fastembed.operators.retrieve import Retrieve
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.payload.asking import DocumentQuestion, Retrieved
from fastembed.sinks.lake.database import Lakes

FOLDER = Path(__file__).parent / "asking"
PIPELINES = """
version: 1
pipelines:
  papers:
    source: {folder: inbox, settle: 100ms}
    operators: [parse, {chunk: {tokens: 120, overlap: 16}}, embed]
    sink: {duckdb: lake.duckdb}
    on_error: {folder: bad}
"""


class Probe(Retrieve):
    """Retrieves as the pipeline does, and keeps what the confidence was made of."""

    seen: tuple[float, ...] = (0.0,) * len(FEATURES)

    async def features(self, *found: Any) -> tuple[float, ...]:
        """Keep them."""
        self.seen = await super().features(*found)
        return self.seen


def plain(text: str) -> str:
    """Compare texts without their marks: a table's row is quoted as a sentence."""
    return " ".join("".join(letter if letter.isalnum() or letter in ".:%" else " " for letter in text).split()).lower()


async def read_documents(folder: Path, documents: dict[str, str]) -> Resources:
    """Have the documents read, chunked, embedded and stored; return what the pipelines share, the lake open."""
    (folder / "inbox").mkdir()
    for name, text in documents.items():
        (folder / "inbox" / name).write_text(text)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    configuration = read_configuration(folder / "pipelines.yaml")
    resources = make_resources(configuration)
    engine = Engine(resources, once=True)
    await engine.start(configuration)
    await engine.join()
    await engine.stop()
    await resources.get(Lakes).acquire(folder / "lake.duckdb")
    return resources


def is_right(found: Retrieved, place: int, file: str, words: str) -> bool:
    """Whether a passage is of the file and holds the words that answer."""
    passage = found.passages[place]
    return passage.file == file and plain(words) in plain(passage.text)


def fit(rows: list[tuple[tuple[float, ...], bool]]) -> None:
    """Print the weights of a logistic regression with a small ridge, and how well they part the two kinds."""
    x = np.array([[*features, 1.0] for features, _ in rows])
    y = np.array([answered for _, answered in rows], dtype=float)
    balance = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    weights = np.zeros(x.shape[1])
    ridge = np.diag([0.3] * (x.shape[1] - 1) + [0.0])
    for _ in range(200):  # Newton's method
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (balance * (p - y)) + ridge @ weights
        hessian = (x * (balance * p * (1 - p))[:, None]).T @ x + ridge
        weights -= np.linalg.solve(hessian + 1e-9 * np.eye(len(weights)), gradient)
    p = 1 / (1 + np.exp(-x @ weights))
    print("FEATURES", FEATURES)
    print("WEIGHTS", tuple(round(float(w), 2) for w in weights[:-1]), "BIAS", round(float(weights[-1]), 2))
    print(f"answered: {(p[y == 1] >= 0.5).mean():.2f}   refused: {(p[y == 0] < 0.5).mean():.2f}")
    for (features, answered), chance in sorted(zip(rows, p, strict=True), key=lambda row: row[1]):
        if answered != (chance >= 0.5):
            print("   wrong:", answered, round(float(chance), 2), [round(f, 2) for f in features])


async def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--set", type=Path)
    parser.add_argument("--chat")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    file = options.set or FOLDER / ("calibration.yaml" if options.calibrate else "judged.yaml")
    judged = yaml.safe_load(file.read_text())
    with tempfile.TemporaryDirectory() as folder:
        resources = await read_documents(Path(folder), judged["documents"])
        probe = Probe()
        await probe.open(Context("ask", "retrieve", "", Path(folder), resources))
        rows: list[tuple[tuple[float, ...], bool]] = []
        top1 = top3 = cited = refused = answered = 0
        seconds = 0.0
        for question, name, words in judged["answers"]:
            began = perf_counter()
            found = await probe(DocumentQuestion(question))
            seconds += perf_counter() - began
            rows.append((probe.seen, True))
            places = [place for place in range(len(found.passages)) if is_right(found, place, name, words)]
            top1 += 0 in places
            top3 += any(place < 3 for place in places)
            right = found.found and found.evidence[0].passage in places
            cited += right
            answered += found.found
            if options.verbose and not (right and places and places[0] < 3):
                best = found.evidence[0].text if found.evidence else ""
                print(f"   {question!r}: {places}, {found.confidence:.2f}, {best!r}")
        for question in judged["unanswerable"]:
            found = await probe(DocumentQuestion(question))
            rows.append((probe.seen, False))
            refused += not found.found
            if options.verbose and found.found:
                seen = [round(feature, 2) for feature in probe.seen]
                print(f"   answered {question!r}: {found.confidence:.2f} {found.evidence[0].text!r} {seen}")
        count = len(judged["answers"])
        print(
            f"{count} questions: passage first {top1 / count:.1%}, in the first three {top3 / count:.1%}, answered "
            f"{answered / count:.1%}, cited rightly {cited / count:.1%}, {1000 * seconds / count:.0f} ms each"
        )
        print(f"refused {refused} of {len(judged['unanswerable'])} that the documents do not answer")
        if options.calibrate:
            fit(rows)
        await close_resources(resources)


if __name__ == "__main__":
    asyncio.run(main())
