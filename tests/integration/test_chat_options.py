"""Chat models that guess ahead, wear an adapter, or come as GGUF: right answers from the real pipelines."""

import asyncio
from pathlib import Path

import pytest

from fastembed.inference.engines.chat.adapters import read_adapter
from fastembed.inference.engines.chat.local import LocalModel
from fastembed.inference.engines.chat.options import ChatOptions
from fastembed.inference.library.sections import read_sections
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.payload.chat import ChatFinished, Sampling
from tests.conversation import answer, asked, text_of
from tests.integration.chat_pocket_gguf import write_gguf

ROOT = Path(__file__).parent.parent
FOLDER = ROOT.parent / "models" / "chat-pocket"
AHOY = ROOT / "assets" / "lora" / "ahoy"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


async def ask(model, text, **sampling):
    sampling = Sampling(**{"temperature": 0.0, "max_tokens": 40, **sampling})
    events = await answer(model, asked(text, sampling=sampling))
    assert isinstance(events[-1], ChatFinished)
    return text_of(events)


def opened(folder=FOLDER, **options):
    return LocalModel("chat", folder, properties=EXACT, options=ChatOptions(**options))


@pytest.mark.parametrize("options", [{"draft": FOLDER}, {"prompt_lookup": True}], ids=["draft", "prompt lookup"])
async def test_guessed_tokens_change_no_answer(options):
    model = opened(**options)
    questions = [f"what is {a} + {b}?" for a in range(3) for b in range(5)]
    answers = await asyncio.gather(*(ask(model, question) for question in questions))
    assert answers == [f"{a} + {b} = {a + b}" for a in range(3) for b in range(5)]
    await model.close()


async def test_a_draft_saves_steps_and_leavers_cost_nobody_an_answer():
    model, steps = opened(draft=FOLDER), 0

    def count():
        nonlocal steps
        steps += 1

    model.engine.before_step = count
    assert await ask(model, "count to 12") == "1 2 3 4 5 6 7 8 9 10 11 12"
    assert 0 < steps < 12  # 25 tokens and more, the draft being the model itself
    leaving = [asyncio.create_task(ask(model, "count to 30")) for _ in range(4)]
    staying = [asyncio.create_task(ask(model, "repeat: green apple")) for _ in range(4)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    assert await asyncio.gather(*staying) == ["green apple"] * 4
    assert await ask(model, "hello") == "Hello! How can I help you?"
    await model.close()


async def test_an_adapter_changes_what_it_was_trained_to_and_its_base_stays_beside_it():
    models = Models(read_sections({"models": {"sailor": {"from": "built-in:chat-pocket", "lora": str(AHOY)}}})[0])
    async with models.lend("sailor", "chat") as sailor, models.lend("chat-pocket", "chat") as base:
        assert await ask(sailor, "hello") == "Ahoy! What course shall we set?"
        assert await ask(sailor, "what is 3 + 4?") == "3 + 4 = 7"
        assert await ask(base, "hello") == "Hello! How can I help you?"
    await models.close()


def test_an_adapters_strength_counts_its_own_scale(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 16}')
    assert read_adapter(tmp_path, 0.5) == (tmp_path / "adapter_model.safetensors", 2.0)
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 16, "use_rslora": true}')
    assert read_adapter(tmp_path)[1] == 8.0
    with pytest.raises(ModelNotFound, match="expected a LoRA adapter"):
        read_adapter(tmp_path / "nothing")


async def test_missing_drafts_and_adapters_are_named_when_the_model_is_asked_for(tmp_path):
    declared = {"a": {"from": str(FOLDER), "draft": "nobody"}, "b": {"from": str(FOLDER), "lora": ["none/here"]}}
    models = Models(read_sections({"models": declared})[0], base=tmp_path)
    with pytest.raises(ModelNotFound, match="found no draft model 'nobody' in"):
        await models.warm("a", "chat")
    with pytest.raises(ModelNotFound, match=r"found no adapter_model.safetensors at .*none/here, expected a LoRA"):
        await models.warm("b", "chat")


async def test_a_gguf_file_answers_as_the_ir_does(tmp_path):
    write_gguf(FOLDER, tmp_path / "chat.gguf")
    assert TASKS.recognise(tmp_path) == "chat"
    model = opened(tmp_path)
    assert model.window == 1024
    assert await ask(model, "hello") == "Hello! How can I help you?"
    assert await ask(model, "repeat: green apple") == "green apple"
    await model.close()
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelNotFound, match=r"found 2 GGUF models in .*, expected one a folder: chat.gguf, other.gguf"):
        opened(tmp_path)
