"""A maintainer's questions, answered from ARCHITECTURE.md alone: it names the file (or the folder) that has it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = set(re.findall(r"`([\w./-]+)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("question", "file", "evidence"),
    [
        ("how long a step waits between two tries", "pipeline/step.py", "async def attempt"),
        ("what a 429 of a full queue says", "pipeline/channel.py", "the queue is full"),
        ("by what an ODT file would be recognised", "documents/formats.py", "which OpenDocument format"),
        ("which reader gets a format", "documents/convert.py", "read_pdf"),
        ("how long a file must be quiet", "sources/watching/tracker.py", "settle_s"),
        ("how far below the threshold speech ends", "operators/listening/segmenter.py", "HYSTERESIS"),
        ("when a slow realtime client is cut off", "server/realtime/outbox.py", "class Outbox"),
        ("how cosine and BM25 are fused", "sinks/lake/search.py", "RANK_CONSTANT"),
        ("which idle model leaves memory first", "inference/serving/residency/plan.py", "class"),
        ("which URLs a request may name", "server/fetching/url_policy.py", "class UrlPolicy"),
        ("how a broken pipeline is rebuilt", "pipeline/supervisor.py", "it is rebuilt in"),
        ("what `check` says of two pipelines that watch one folder", "fastembed/lint/places.py", "on_error"),
        ("where a broken download goes on", "inference/library/hub/transfer.py", "goes on from there"),
        ("how much a chunk overlaps with the one before", "operators/chunking/packing.py", "overlap"),
        ("what becomes of a document whose process died", "documents/faults.py", "class Tries"),
    ],
)
def test_the_page_says_where_to_change(question, file, evidence):
    assert {file, f"{Path(file).parent}/"} & NAMED, question
    assert evidence in (ROOT / file).read_text(encoding="utf-8"), f"{question}: not in {file} any more"


def test_the_page_stays_a_page():
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 115
