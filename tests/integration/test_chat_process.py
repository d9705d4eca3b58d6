"""The chat process dies, hangs, cannot be started: the server lives on, and callers are told."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from fastembed.inference.engines.chat.model import ChatModel
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from fastembed.pipeline.payload.chat import (
    ChatDelta,
    ChatFinished,
    ChatRequest,
    ChatStarted,
    Message,
    Sampling,
    TextPart,
)

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "models" / "chat-pocket"
# In bfloat16, the default of processors that have it, a context that is read at once and one that was written token by
# token differ enough to turn near-ties of a long answer around; in float32 they do not.
PRECISE = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture
async def model():
    loaded = await asyncio.to_thread(ChatModel, "chat-pocket", FOLDER, properties=PRECISE)
    yield loaded
    await loaded.close()


def asked(text, **sampling):
    sampling = Sampling(**{"temperature": 0, **sampling})
    return ChatRequest((Message("user", (TextPart(text),)),), sampling=sampling)


LONG = asked("count to 30", temperature=2.0, max_tokens=900)
LONG_AND_SURE = ChatRequest(prompt="the weather is", sampling=Sampling(temperature=0, max_tokens=700))
FORMED = replace(LONG, json={"type": "array", "items": {"type": "integer"}, "minItems": 256})


async def answer(model, request):
    return [event async for event in model.generate(request)]


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, ChatDelta))


async def shown(events):
    """Read until the answer shows something; return what was read."""
    read = []
    async for event in events:
        read.append(event)
        if isinstance(event, ChatDelta):
            break
    return read


async def until(condition):
    """Let the event loop go on until something is so."""
    late = perf_counter() + 20
    while not condition():
        await asyncio.sleep(0.001)
        assert perf_counter() < late


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
async def test_when_it_dies_every_answer_goes_on_where_it_broke_off(model, how):
    whole = await answer(model, LONG_AND_SURE)
    seen = model.generate(LONG_AND_SURE)
    events = await shown(seen)
    killed = model.process.pid
    os.kill(killed, how)
    unseen = [asyncio.create_task(answer(model, asked(f"what is {n} + 2?"))) for n in range(5)]
    events += [event async for event in seen]
    assert text_of(events) == text_of(whole)
    assert events[-1] == whole[-1] == ChatFinished(0, "length", whole[-1].prompt_tokens, 700)
    answers = await asyncio.gather(*unseen)
    assert [text_of(events) for events in answers] == [f"{n} + 2 = {n + 2}" for n in range(5)]
    assert all(sum(isinstance(event, ChatStarted) for event in events) == 1 for events in (events, *answers))
    assert model.process.restarts == 1
    assert model.process.pid != killed


async def test_an_answer_that_is_held_to_a_form_cannot_go_on_and_says_so(model):
    formed = model.generate(FORMED)
    await shown(formed)
    os.kill(model.process.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="held to a form and broke off") as told:
        async for _ in formed:
            pass
    assert told.value.retry_after_s


async def test_a_request_that_saw_three_processes_die_is_not_given_to_a_fourth(model):
    waiting = asyncio.create_task(answer(model, LONG))
    await until(lambda: model.process.busy)
    (asked_,) = model.process._asked.values()
    for run in (1, 2, 3):
        await until(lambda run=run: asked_.runs == run)
        os.kill(model.process.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="the chat process was ended by SIGKILL in this answer"):
        await waiting
    assert text_of(await answer(model, asked("hello"))) == "Hello! How can I help you?"


async def test_a_process_that_dies_while_it_starts_is_told_and_started_again(model):
    await answer(model, asked("hello"))
    first = model.process.pid
    os.kill(first, signal.SIGKILL)
    waiting = asyncio.create_task(answer(model, asked("hello")))
    await until(lambda: model.process.pid != first)
    os.kill(model.process.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="the chat model cannot be loaded again: the chat process was ended by SIGK"):
        await waiting
    assert text_of(await answer(model, asked("hello"))) == "Hello! How can I help you?"


async def test_a_model_that_cannot_be_loaded_again_is_tried_again_when_somebody_asks(tmp_path, caplog):
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder)
    model = await asyncio.to_thread(ChatModel, "model", folder)
    await answer(model, asked("hello"))
    folder.rename(tmp_path / "away")
    os.kill(model.process.pid, signal.SIGKILL)
    await until(lambda: "cannot load its model again" in caplog.text)
    with pytest.raises(Unavailable, match="the chat model cannot be loaded again"):
        await answer(model, asked("hello"))
    (tmp_path / "away").rename(folder)
    await asyncio.sleep(1.0)  # five times as long as it would wait
    assert model.process.restarts == 2
    assert text_of(await answer(model, asked("hello"))) == "Hello! How can I help you?"
    assert model.process.restarts == 3
    await model.close()


async def test_a_process_that_hangs_is_ended_and_started_again():
    model = await asyncio.to_thread(ChatModel, "chat-pocket", FOLDER, stall_s=1.0)
    seen = model.generate(LONG_AND_SURE)
    events = await shown(seen)
    os.kill(model.process.pid, signal.SIGSTOP)
    events += [event async for event in seen]
    assert events[-1].completion_tokens == 700
    assert model.process.restarts == 1
    await model.close()


async def test_an_idle_process_is_not_taken_for_one_that_hangs():
    model = await asyncio.to_thread(ChatModel, "chat-pocket", FOLDER, stall_s=0.2)
    await answer(model, asked("hello"))
    await asyncio.sleep(0.6)  # three times as long
    await answer(model, asked("hello"))
    assert model.process.restarts == 0
    await model.close()


async def test_a_process_that_dies_idle_is_there_for_the_next_request(model):
    await answer(model, asked("hello"))
    os.kill(model.process.pid, signal.SIGKILL)
    events = await answer(model, asked("hello"))
    assert isinstance(events[-1], ChatFinished)


async def test_callers_who_leave_while_it_is_started_again_are_forgotten(model):
    leaving = asyncio.create_task(answer(model, LONG))
    await until(lambda: model.process.busy)
    os.kill(model.process.pid, signal.SIGKILL)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert text_of(await answer(model, asked("hello"))) == "Hello! How can I help you?"
    assert model.process.busy == 0


async def test_it_can_be_closed_while_it_is_started_again(model):
    await answer(model, asked("hello"))
    dead = model.process.pid
    os.kill(dead, signal.SIGKILL)
    waiting = asyncio.create_task(answer(model, asked("hello")))
    await until(lambda: model.process.pid != dead)
    await model.close()
    with pytest.raises(Unavailable, match="closed"):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(model.process.pid, 0)


async def test_what_the_model_refuses_keeps_its_kind(model):
    with pytest.raises(InvalidInput, match=r"expected at most \d+ for chat-pocket") as refused:
        await answer(model, asked("word " * 2000))
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")


async def test_a_folder_that_is_no_model_is_refused_when_it_is_loaded(tmp_path):
    with pytest.raises(ModelNotFound, match="expected a chat model as OpenVINO IR"):
        await asyncio.to_thread(ChatModel, "nothing", tmp_path)
    shutil.copytree(FOLDER, tmp_path / "broken")
    (tmp_path / "broken" / "openvino_model.xml").write_text("<net>")
    with pytest.raises(RuntimeError, match=r"openvino_model\.xml") as told:
        await asyncio.to_thread(ChatModel, "broken", tmp_path / "broken")
    assert "In the chat process:" in told.value.__notes__[0]
    assert "in open_batched" in told.value.__notes__[0]


async def test_a_process_ends_with_the_server_that_started_it():
    script = (
        "import asyncio, os, sys; from pathlib import Path; "
        "from fastembed.inference.engines.chat.model import ChatModel\n"
        "print(ChatModel('chat-pocket', Path(sys.argv[1])).process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", script, str(FOLDER)]
    # returns when nobody holds the pipe of its errors any more, which the chat process shares
    ended = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    assert int(ended.stdout)


async def test_a_caller_who_leaves_does_not_disturb_others(model):
    async with aclosing(model.generate(LONG)) as leaving:
        await shown(leaving)
        other = asyncio.create_task(answer(model, asked("what is 3 + 4?")))
    assert text_of(await other) == "3 + 4 = 7"
