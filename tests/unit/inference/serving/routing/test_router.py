"""The router over the models of a process: what is on offer, and what is known of each. Nothing is loaded here."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.routing.router import Router
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, ImagePart, Message
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from tests.unit.inference.serving.routing.asking import ask

POCKET = Path(__file__).parents[5] / "models" / "chat-pocket"


@pytest.fixture
def routing(tmp_path):
    """Return a function that makes a router over configuration sections."""

    def routing(models=None, **more):
        clock = more.pop("clock", lambda: 0.0)
        breakers = more.pop("breakers", None)
        found = Models.from_sections({"models": models or {}, **more}, tmp_path)
        return Router(found, clock=clock, breakers=breakers)

    return routing


def offers(router):
    return {offer.name: offer for offer in router.offers()}


def test_with_nothing_declared_the_pocket_model_answers_marked_and_with_the_way_to_a_real_one(routing):
    decision = routing().decide(ask("hello"))
    assert decision.candidates[0] == Candidate("chat-pocket", "CPU", pocket=True)
    assert "a pocket model, for want of a real one: fastembed pull gemma-4-e4b" in decision.summary


def test_a_declared_model_goes_before_the_pocket_model(routing):
    decision = routing({"mine": {"from": str(POCKET), "aliases": ["me"]}}).decide(ask("hello"))
    assert decision.candidates[:2] == (
        Candidate("mine", "CPU"),
        Candidate("chat-pocket", "CPU", pocket=True, lesser=True),
    )


def test_files_say_what_a_model_is_good_at_how_long_its_context_is_and_how_large_it_is(routing):
    mine = offers(routing({"mine": {"from": str(POCKET)}}))["mine"]
    assert (mine.task, mine.good_at, mine.window) == ("chat", {"tools"}, 1024)
    assert mine.size == pytest.approx(sum(file.stat().st_size for file in POCKET.glob("*.bin")) / 1e9, abs=1e-4)


def test_a_known_model_is_on_offer_as_missing_with_the_command(routing):
    phi = offers(routing())["phi-4-mini"]
    assert (phi.standing, phi.good_at, phi.size) == ("known", {"code"}, 3.8)
    assert phi.missing.endswith("fastembed pull phi-4-mini")
    with pytest.raises(ModelNotFound, match="fastembed pull phi-4-mini"):
        routing().decide(ask("hello", model="phi-4-mini"))


def test_a_known_model_whose_files_are_here_is_chosen_without_a_declaration(routing, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path))
    shutil.copytree(POCKET, tmp_path / "phi-4-mini")
    decision = routing().decide(ask("hello"))
    assert decision.candidates[0] == Candidate("phi-4-mini", "CPU")


def test_a_declared_model_without_files_or_task_can_be_named_and_says_what_is_missing(routing):
    router = routing({"ghost": {"from": "nowhere/ghost"}})
    with pytest.raises(ModelNotFound, match=r"found no files of ghost.*fastembed pull ghost"):
        router.decide(ask("hello", model="ghost"))
    substitute = router.decide(ask("hello", model="ghost", model_fallback=True))
    assert (substitute.substitute, substitute.candidates[0].model) == (True, "chat-pocket")
    assert "in place of ghost: found no files of ghost" in substitute.summary


def test_a_steps_own_model_is_what_auto_means(routing):
    router = routing({"a": {"from": str(POCKET)}, "b": {"from": str(POCKET)}})
    assert router.decide(ask("hello"), default="b").candidates[0].model == "b"
    assert router.decide(ask("hello", model="a"), default="b").candidates[0].model == "a"


def test_only_devices_that_are_there_are_candidates(routing):
    decision = routing({"mine": {"from": str(POCKET), "on": ["npu", "cpu"]}}).decide(ask("hello", model="mine"))
    assert decision.candidates == (Candidate("mine", "CPU"),)
    with pytest.raises(Unavailable, match="none of the devices of its `on:` is there"):
        routing({"mine": {"from": str(POCKET), "on": "npu"}}).decide(ask("hello", model="mine"))


def test_memory_that_the_configuration_allows_is_what_a_model_must_fit_into(routing):
    router = routing({"mine": {"from": str(POCKET)}}, devices={"cpu": {"memory": "1KiB"}})
    with pytest.raises(Unavailable, match="mine on CPU: the device has too little memory for it"):
        router.decide(ask("hello", model="mine"))


def test_sound_is_written_down_by_what_is_here(routing):
    sound = AudioPart(np.zeros(16_000, np.float32))
    decision = routing().decide(ChatRequest((Message("user", (sound,)),)))
    assert decision.transcriber == "whisper-base"
    assert not decision.candidates[0].hears


def test_an_embedding_request_gets_the_model_that_ships(routing):
    decision = routing().decide(EmbeddingRequest(["a"]))
    assert decision.candidates == (Candidate("all-MiniLM-L6-v2", "CPU"),)


def test_a_look_at_the_disk_holds_for_a_second(routing, tmp_path):
    now = [0.0]
    router = routing({"late": {"task": "chat", "from": "late"}}, clock=lambda: now[0])
    assert router.decide(ask("hello")).candidates[0].model == "chat-pocket"
    shutil.copytree(POCKET, tmp_path / "late")
    assert router.decide(ask("hello")).candidates[0].model == "chat-pocket"
    now[0] = 1.1
    assert router.decide(ask("hello")).candidates[0].model == "late"


def test_an_open_breaker_is_heeded(routing):
    breakers = Breakers(clock=lambda: 0.0)
    breaker = breakers.of("mine", "CPU")
    for _ in range(5):
        breaker.failed(breaker.enter(0.0), 0.0)
    router = routing({"mine": {"from": str(POCKET)}}, breakers=breakers)
    assert router.decide(ask("hello")).candidates[0].model == "chat-pocket"
    with pytest.raises(Unavailable) as caught:
        router.decide(ask("hello", model="mine"))
    assert caught.value.retry_after_s == 30.0


async def test_a_loaded_model_is_known_to_be_loaded(tmp_path):
    models = Models.from_sections({}, tmp_path)
    router = Router(models)
    assert not router._load(router.offers()).engine("all-MiniLM-L6-v2", "CPU").loaded
    await models.warm("auto", "embedding")
    assert router._load(router.offers()).engine("all-MiniLM-L6-v2", "CPU").loaded
    await models.close()


def test_what_a_picture_needs_is_said(routing):
    picture = ImagePart(np.zeros((2, 2, 3), np.uint8))
    seen = ChatRequest((Message("user", (picture,)),), model="chat-pocket", model_fallback=False)
    with pytest.raises(InvalidInput, match="chat-pocket: it sees no pictures"):
        routing().decide(seen)
