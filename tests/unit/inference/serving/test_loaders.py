"""What models take beside themselves, and in which processes, before any is loaded."""

from pathlib import Path

import pytest

from fastembed.inference.engines.chat.options import ChatOptions
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.serving.loaders import Loading, extra_range
from fastembed.pipeline.errors import ModelNotFound

MODELS = Path(__file__).parents[4] / "models"
CHAT = MODELS / "chat-pocket"
CONTEXT = 1024 * 2048  # tokens, bytes of each


def loading(task, folder, device="CPU", *, inflight=None, **fields):
    devices = Devices({"cpu": DeviceLimits(inflight=inflight)})
    return Loading("name", task, folder, device, devices, **fields)


@pytest.mark.parametrize("task", ["chat", "code"])
def test_a_chat_model_needs_a_context_and_can_use_many(task):
    assert extra_range(loading(task, CHAT)) == (CONTEXT, 64 * CONTEXT)


def test_a_draft_model_has_contexts_too():
    found = extra_range(loading("chat", CHAT, options=ChatOptions(draft=CHAT)))
    assert found == (2 * CONTEXT, 2 * 64 * CONTEXT)


def test_on_an_npu_contexts_are_part_of_the_compiled_model():
    assert extra_range(loading("chat", CHAT, "NPU")) == (0, 0)


def test_a_document_model_needs_a_page_and_can_use_four():
    least, most = extra_range(loading("document", MODELS / "docling-pocket"))
    assert (least, most) == (1024 * 768, 4 * 1024 * 768)


@pytest.mark.parametrize(("task", "folder"), [("transcription", "whisper-pocket"), ("embedding", "minilm")])
def test_others_take_what_they_take(task, folder):
    assert extra_range(loading(task, MODELS / folder)) == (0, 0)


@pytest.mark.parametrize("task", ["chat", "document"])
def test_a_folder_without_a_model_is_refused(task, tmp_path):
    with pytest.raises(ModelNotFound, match="found no "):
        extra_range(loading(task, tmp_path))
