"""What models take beside themselves, and in which processes, before any is loaded."""

from pathlib import Path

import pytest

from fastembed.inference.engines.chat.options import ChatOptions
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.library.tasks import TASKS, LoadRequest
from fastembed.pipeline.errors import ModelNotFound

MODELS = Path(__file__).parents[4] / "models"
CHAT = MODELS / "chat-pocket"
CONTEXT = 1024 * 2048  # tokens, bytes of each


def load_request(task, folder, device="CPU", *, inflight=None, **fields):
    devices = Devices({"cpu": DeviceLimits(inflight=inflight)})
    options = fields.pop("options", ChatOptions())
    return LoadRequest("name", TASKS.of(task), folder, device, devices, options, **fields)


def extra_memory(request):
    return request.kind.extra_memory(request)


@pytest.mark.parametrize("task", ["chat", "code"])
def test_a_chat_model_needs_a_context_and_can_use_many(task):
    assert extra_memory(load_request(task, CHAT)) == (CONTEXT, 64 * CONTEXT)


def test_a_draft_model_has_contexts_too():
    found = extra_memory(load_request("chat", CHAT, options=ChatOptions(draft=CHAT)))
    assert found == (2 * CONTEXT, 2 * 64 * CONTEXT)


def test_on_an_npu_contexts_are_part_of_the_compiled_model():
    assert extra_memory(load_request("chat", CHAT, "NPU")) == (0, 0)


def test_a_document_model_needs_a_page_and_can_use_four():
    least, most = extra_memory(load_request("document", MODELS / "docling-pocket"))
    assert (least, most) == (1024 * 768, 4 * 1024 * 768)


@pytest.mark.parametrize(("task", "folder"), [("transcription", "whisper-pocket"), ("embedding", "minilm")])
def test_others_take_what_they_take(task, folder):
    assert extra_memory(load_request(task, MODELS / folder)) == (0, 0)


@pytest.mark.parametrize("task", ["chat", "document"])
def test_a_folder_without_a_model_is_refused(task, tmp_path):
    with pytest.raises(ModelNotFound, match="found no "):
        extra_memory(load_request(task, tmp_path))
