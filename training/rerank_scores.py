"""Measures how well a reranker orders documents, beside BM25 and chance: `rerank_scores.py models/rerank-pocket`.

Twice: on queries that `overlap.py` makes of words and sentences which were kept from training, and on questions that a
person asked of this project's own texts (the demo's handbook and `docs/`), each of which one section answers. Run it in
the project's environment.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from overlap import COMMON, Maker

from fastembed.inference.engines.rerank.engine import RerankEngine
from fastembed.inference.engines.rerank.model import scores_of
from fastembed.inference.engines.rerank.pairs import PairTokenizer
from fastembed.inference.library.devices import Devices

ROOT = Path(__file__).parents[2]
HANDBOOK = {  # the start of a section's heading: what it answers
    "1.1": ("how high is the station", "how far away is Orrin", "how many rooms has the hut"),
    "1.2": ("when was the station founded", "why does a new instrument run beside the old one"),
    "1.3": ("how long do observers stay", "may I go to the mast alone at night"),
    "2.1": ("at which hours are readings taken", "how do I correct a wrong number", "pencil or ink"),
    "2.2": ("who clears the screen and the gauge", "when do we call the valley"),
    "2.3": ("what if a reading was missed", "should we interpolate"),
    "3.1": ("how do I read the thermometer", "snow in the screen", "what is the wet bulb brushed with"),
    "3.2": ("the mercury tube is broken", "how is the barometer read"),
    "3.3": ("how deep is the snow", "emptying the rain gauge"),
    "3.4": ("the anemometer is frozen", "may I pour hot water over the cups"),
    "4.1": ("what does a ring around the sun mean", "cirrus clouds"),
    "4.2": ("clouds that announce thunder in the afternoon",),
    "4.3": ("when will fog reach the hut",),
    "4.4": ("a cloud like a lens",),
    "5.1": ("when must the shutters be closed", "at which wind is the mast forbidden"),
    "5.2": ("what should I do when lightning is near", "hair rises and the mast hums"),
    "5.3": ("what to check after a storm",),
    "6.1": ("when is the track dangerous", "how steep is the slope"),
    "6.2": ("digging a pit with the shovel", "how many taps mean a stable layer"),
    "7.1": ("on which channel does the valley listen", "what do I say first on the radio"),
    "7.2": ("how do I signal for help",),
    "8.1": ("how long do the batteries charge", "checking the oil of the generator"),
    "8.2": ("the chimney is on fire", "which wood do we burn"),
    "8.3": ("where do we get drinking water", "how long must water be boiled"),
    "9.1": ("somebody has stopped shivering", "thawing frozen skin"),
    "9.2": ("where does the helicopter land", "how long does the rescue team need"),
    "10 ": ("what is the name of the cat", "may I feed the foxes"),
    "11 ": ("judging the wind without instruments", "what is a moderate breeze"),
}
DOCS = {
    "Stopping and reloading": ("what happens on SIGTERM", "is a saved pipelines.yaml taken over"),
    "Errors and headers": ("what does a 500 say", "which headers are sent with a 429"),
    "Who may use it": ("is an API key needed on loopback", "browser origins"),
    "Pipelines of your own": ("server-sent events of my own pipeline",),
    "export": ("convert original weights with optimum",),
    "rm": ("delete a model from the disk",),
    "pull": ("resuming a broken download", "where do pulled files go"),
    "Names": ("which licence has whisper-base",),
}
Ranker = Callable[[str, Sequence[str]], Sequence[float]]


def sections(text: str) -> dict[str, str]:
    """Return the text under each heading, the heading included."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    found = {heading: f"{heading}\n{body.strip()}" for heading, body in zip(parts[1::2], parts[2::2], strict=True)}
    return {heading: body for heading, body in found.items() if len(body) > len(heading) + 40}


def bm25(query: str, documents: Sequence[str]) -> list[float]:
    """Score by words (Robertson and Zaragoza, 2009; k1 1.2, b 0.75), without those that every text has."""
    texts = [Counter(_words(document)) for document in documents]
    mean = sum(text.total() for text in texts) / len(texts)
    scores = [0.0] * len(texts)
    for word in set(_words(query)):
        holding = sum(word in text for text in texts)
        rarity = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for place, text in enumerate(texts):
            count = text[word]
            scores[place] += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * text.total() / mean))
    return scores


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in COMMON]


def chance(rng: random.Random) -> Ranker:
    """Score at random."""
    return lambda _, documents: [rng.random() for _ in documents]


def order(scores: Sequence[float], rng: random.Random) -> list[int]:
    """Return the places, the best first, equal ones in random order."""
    return sorted(range(len(scores)), key=lambda place: (-scores[place], rng.random()))


def ndcg(gains: Sequence[float], ordered: Sequence[int], depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first places (Järvelin and Kekäläinen, 2002)."""
    discounts = [1 / math.log2(place + 2) for place in range(depth)]
    found = sum(gains[place] * discount for place, discount in zip(ordered, discounts, strict=False))
    most = sum(gain * discount for gain, discount in zip(sorted(gains, reverse=True), discounts, strict=False))
    return found / most


def judge_made(ranker: Ranker, *, longest: int, groups: int = 60) -> str:
    """Report on made queries with twenty documents each."""
    maker, rng = Maker(held_out=True, seed=7), random.Random(3)
    right = pairs = total = 0.0
    for _ in range(groups):
        group = maker.group(longest, documents=20)
        while not any(group.shares):
            group = maker.group(longest, documents=20)
        scores = ranker(group.query, group.documents)
        total += ndcg(group.shares, order(scores, rng))
        for first in range(len(scores)):
            for second in range(first):
                gap = group.shares[first] - group.shares[second]
                if abs(gap) > 0.15:
                    pairs += 1
                    gain = (scores[first] - scores[second]) * gap
                    right += 1 if gain > 0 else 0.5 if gain == 0 else 0
    return f"pairs in the right order {right / pairs:.3f}, nDCG@10 {total / groups:.3f}"


def judge_real(ranker: Ranker, texts: dict[str, str], questions: dict[str, tuple[str, ...]]) -> str:
    """Report on questions, each with one section that answers it."""
    rng, headings = random.Random(3), list(texts)
    places = []
    for start, asked in questions.items():
        wanted = next(place for place, heading in enumerate(headings) if heading.startswith(start))
        for question in asked:
            ordered = order(ranker(question, [texts[heading] for heading in headings]), rng)
            places.append(ordered.index(wanted))
    count = len(places)
    return (
        f"{count} questions, {len(headings)} sections: first {sum(p == 0 for p in places) / count:.2f}, among three "
        f"{sum(p < 3 for p in places) / count:.2f}, "
        f"nDCG@10 {sum(1 / math.log2(p + 2) for p in places if p < 10) / count:.3f}"
    )


def main() -> None:
    """Evaluate the model of a folder."""
    folder = Path(sys.argv[1])
    engine = RerankEngine(folder, Devices())
    tokenizer = PairTokenizer(folder, engine.window)

    def model(query: str, documents: Sequence[str]) -> list[float]:
        rows = tokenizer.encode(query, documents, folder.name).rows
        scores: list[float] = scores_of(engine.infer(rows)).tolist()
        return scores

    handbook = sections((ROOT / "demo" / "handbook.md").read_text())
    docs = sections("\n".join(file.read_text() for file in sorted((ROOT / "docs").glob("*.md"))))
    for name, ranker in ((folder.name, model), ("BM25", bm25), ("chance", chance(random.Random(1)))):
        for longest in (40, 120):
            print(f"{name}, made, up to {longest} words: {judge_made(ranker, longest=longest)}", flush=True)
        print(f"{name}, handbook: {judge_real(ranker, handbook, HANDBOOK)}")
        print(f"{name}, docs: {judge_real(ranker, docs, DOCS)}", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
