"""Whatever opens a model waits for whoever opens one: OpenVINO threads that compile at once can hang."""

import linecache
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fastembed.documents.ocr import PageReader
from fastembed.inference.engines.chat.folder import open_batched
from fastembed.inference.engines.chat.stateful import StatefulEngine
from fastembed.inference.engines.docling.engine import DoclingEngine
from fastembed.inference.engines.embedding.model import EmbeddingModel
from fastembed.inference.engines.encoder.tokenize import GraphTokenizer
from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.engines.vad import VoiceModel
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.opening import OPENING

MODELS = Path(__file__).parent.parent.parent / "models"
NPUW = {"NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE", "MAX_PROMPT_LEN": 128, "MIN_RESPONSE_LEN": 32}


def read_a_page():
    reader = PageReader()
    reader(np.full((64, 64, 3), 255, np.uint8))
    reader.rest()


OPENERS = {
    "an embedding model": lambda: EmbeddingModel("minilm", MODELS / "minilm", Devices(), "CPU"),
    "a reranker": lambda: RerankModel("rerank", MODELS / "rerank-pocket", Devices(), "CPU"),
    "a tokenizer that is a graph": lambda: GraphTokenizer(MODELS / "chat-pocket" / "openvino_tokenizer.xml"),
    "a voice detector": VoiceModel,
    "a Whisper": lambda: WhisperEngine(MODELS / "whisper-pocket").load(),
    "a chat model": lambda: open_batched(MODELS / "chat-pocket", "CPU", {}, 64),
    "a chat model on an NPU": lambda: StatefulEngine(MODELS / "chat-pocket", "NPU", NPUW, 1024),
    "a document model": lambda: DoclingEngine(MODELS / "docling-pocket"),
    "a reader of page images": read_a_page,
}


def waits_at(thread):
    """Whether a thread stands where it takes the lock."""
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and "OPENING:" in linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0)


@pytest.mark.parametrize("what", OPENERS)
def test_it_waits_until_no_other_model_is_being_opened(what):
    done = threading.Event()

    def run():
        opened = OPENERS[what]()
        done.set()
        del opened

    thread = threading.Thread(target=run, daemon=True)
    with OPENING:
        thread.start()
        while not waits_at(thread):
            assert not done.wait(0.01)
    assert done.wait(100)
    thread.join(10)
