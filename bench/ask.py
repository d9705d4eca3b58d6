"""How good answers from documents are: the right passage, the right citation, refusals; calibrates the confidence.

python -m bench.ask                        held_out.yaml: the figures of bench/README.md
python -m bench.ask --set FILE             another set of the same form
python -m bench.ask --calibrate            fits the weights of operators/asking/confidence.py on calibration.yaml and
                                           judged.yaml
python -m bench.ask --chat smollm2-135m    has a chat model's words checked as well; --first N asks only so many
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import yaml

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.operators.answer import Answer
from fastembed.operators.asking.confidence import FEATURES
from fastembed.operators.asking.terms import numbers
from fastembed.operators.prompt import prompt
from fastembed.operators.retrieve import Retrieve
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.asking import DocumentQuestion, Retrieved
from fastembed.pipeline.payload.chat import ChatFinished
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


@dataclass(slots=True)
class Tally:
    """What came of the questions of a set. rows: the features of each, and whether the documents answer it."""

    rows: list[tuple[tuple[float, ...], bool]] = field(default_factory=list)
    first: int = 0
    in_three: int = 0
    answered: int = 0
    cited: int = 0
    refused: int = 0
    seconds: float = 0.0
    chat: Counter[str] = field(default_factory=Counter)

    def print(self, answers: int, unanswerable: int) -> None:
        """Print the figures."""
        print(
            f"{answers} questions: passage first {self.first / answers:.1%}, in the first three "
            f"{self.in_three / answers:.1%}, answered {self.answered / answers:.1%}, cited rightly "
            f"{self.cited / answers:.1%}, {1000 * self.seconds / answers:.0f} ms each"
        )
        print(f"refused {self.refused} of {unanswerable} that the documents do not answer")
        if self.chat:
            print("chat:", ", ".join(f"{name} {count}" for name, count in self.chat.items()))


async def write(answer: Answer, found: Retrieved, right: tuple[str, str], *, verbose: bool) -> Counter[str]:
    """Have a model answer; count its sentences: written, quoted, left out, rightly cited, with numbers of nowhere."""
    told: Counter[str] = Counter()
    events = [event async for event in answer(Item(prompt(found)))]
    grounding = events[-1].grounding if isinstance(events[-1], ChatFinished) else None
    if grounding is None:
        return told
    file, words = right
    for sentence in grounding.sentences:
        told["quoted" if sentence.quoted else "written"] += 1
        cited = sentence.citations[0]
        told["of the right file"] += cited.file == file
        told["with the right words in the quote"] += plain(words) in plain(cited.quote)
        told["kept with a number that the quote lacks"] += not (
            numbers(sentence.text) <= numbers(cited.quote) | numbers(found.question.text)
        )
        if verbose:
            print(f"   {found.question.text!r}: {sentence.text!r} [{cited.file}: {cited.quote!r}]")
    told["left out"] += len(grounding.left_out)
    if verbose:
        print(f"      left out: {grounding.left_out}")
    return told


async def ask_set(file: Path, *, chat: str | None, first: int | None, verbose: bool) -> Tally:
    """Ask the questions of a set over its documents, and print the figures."""
    judged = await asyncio.to_thread(lambda: yaml.safe_load(file.read_text()))
    answers, unanswerable = judged["answers"][:first], judged["unanswerable"][:first]
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        resources = await read_documents(Path(folder), judged["documents"])
        context = Context("ask", "retrieve", "", Path(folder), resources)
        probe = Probe()
        await probe.open(context)
        answer = Answer(model=chat) if chat else None
        if answer:
            await answer.open(context)
        for question, name, words in answers:
            began = perf_counter()
            found = await probe(DocumentQuestion(question))
            tally.seconds += perf_counter() - began
            tally.rows.append((probe.seen, True))
            places = [place for place in range(len(found.passages)) if is_right(found, place, name, words)]
            right = found.found and found.evidence[0].passage in places
            tally.first += 0 in places
            tally.in_three += any(place < 3 for place in places)
            tally.cited += right
            tally.answered += found.found
            if verbose and not (right and places and places[0] < 3):
                best = found.evidence[0].text if found.evidence else ""
                print(f"   {question!r}: {places}, {found.confidence:.2f}, {best!r}, {found.doubts}")
            if answer and found.found:
                tally.chat.update(await write(answer, found, (name, words), verbose=verbose))
        for question in unanswerable:
            found = await probe(DocumentQuestion(question))
            tally.rows.append((probe.seen, False))
            tally.refused += not found.found
            if verbose and found.found:
                print(f"   answered {question!r}: {found.confidence:.2f} {found.evidence[0].text!r}, {found.doubts}")
        tally.print(len(answers), len(unanswerable))
        await close_resources(resources)
    return tally


async def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--set", type=Path)
    parser.add_argument("--chat")
    parser.add_argument("--first", type=int)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    names = ("calibration.yaml", "judged.yaml") if options.calibrate else ("held_out.yaml",)
    files = [options.set] if options.set else [FOLDER / name for name in names]
    rows = [
        row
        for file in files
        for row in (await ask_set(file, chat=options.chat, first=options.first, verbose=options.verbose)).rows
    ]
    if options.calibrate:
        fit(rows)


if __name__ == "__main__":
    asyncio.run(main())
