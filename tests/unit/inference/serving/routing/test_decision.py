"""Who answers: what the corpus of requests does not say already."""

from dataclasses import replace

import pytest

from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.routing.analysis import (
    PICTURE_TOKENS,
    ModelRequirements,
    Preferences,
    profile,
    requirements,
)
from fastembed.inference.serving.routing.decision import decide
from fastembed.inference.serving.routing.offers import EngineState, MachineLoad, ModelOffer
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from tests.unit.inference.serving.routing.asking import ask

LARGE = ModelOffer("large", "chat", size=8, window=32_768, devices=("GPU", "CPU"), fallback="small")
SMALL = ModelOffer("small", "chat", size=1, window=8_192, devices=("NPU", "CPU"))
CODER = ModelOffer("coder", "code", size=4, window=16_384, good_at=frozenset({"code", "tools"}))
POCKET = ModelOffer("chat-pocket", "chat", standing="pocket", size=0.001, window=512)
GONE = ModelOffer(
    "gone",
    "chat",
    fallback="small",
    devices=(),
    missing="found no files of gone, expected a model folder: fastembed pull gone",
    command="fastembed pull gone",
)
OFFERS = (LARGE, SMALL, CODER, POCKET)
CHAT = ModelRequirements("chat", tokens=10)


def chosen(decision):
    return [(candidate.model, candidate.device) for candidate in decision.candidates]


def test_every_place_that_can_answer_is_a_candidate_and_pocket_models_are_the_last():
    decision = decide(CHAT, Preferences(), OFFERS)
    assert chosen(decision) == [
        ("small", "NPU"), ("small", "CPU"), ("coder", "CPU"), ("large", "GPU"), ("large", "CPU"),
        ("chat-pocket", "CPU"),
    ]  # fmt: skip
    assert decision.candidates[-1] == Candidate("chat-pocket", "CPU", pocket=True, lesser=True)
    assert decision.reasons == ("simple request, the smallest of 3 models",)
    assert (decision.substitute, decision.refusal) == (False, None)


@pytest.mark.parametrize(
    ("wanted", "lesser"),
    [
        (CHAT, {"chat-pocket"}),
        (replace(CHAT, code=True), {"small", "large", "chat-pocket"}),
        (replace(CHAT, tools=True), {"small", "large", "chat-pocket"}),
    ],
)
def test_who_was_not_made_for_a_request_is_marked(wanted, lesser):
    decision = decide(wanted, Preferences(), OFFERS)
    assert {one.model for one in decision.candidates if one.lesser} == lesser


def test_a_fallback_that_was_declared_is_as_good_as_the_named_model():
    wanted = replace(CHAT, tools=True)
    assert not any(one.lesser for one in decide(wanted, Preferences("large", model_fallback=True), OFFERS).candidates)


def test_of_pocket_models_those_for_something_else_are_the_lesser():
    sees = ModelOffer("vision-pocket", "chat", standing="pocket", good_at=frozenset({"vision"}))
    decision = decide(CHAT, Preferences(), (POCKET, sees))
    assert [(one.model, one.lesser) for one in decision.candidates] == [("chat-pocket", False), ("vision-pocket", True)]


def test_a_decision_depends_on_its_arguments_only():
    request = ask("Prove that 2 + 2 = 4")
    again = [str(decide(requirements(profile(request)), Preferences(), OFFERS)) for _ in range(3)]
    assert len(set(again)) == 1


def test_a_named_model_has_its_fallback_behind_it_unless_that_is_forbidden():
    assert chosen(decide(CHAT, Preferences("large"), OFFERS)) == [
        ("large", "GPU"), ("large", "CPU"), ("small", "NPU"), ("small", "CPU"),
    ]  # fmt: skip
    alone = decide(CHAT, Preferences("large", model_fallback=False), OFFERS)
    assert chosen(alone) == [("large", "GPU"), ("large", "CPU")]
    anybody = decide(CHAT, Preferences("large", model_fallback=True), OFFERS)
    assert [candidate.model for candidate in anybody.candidates][-2:] == ["coder", "chat-pocket"]


def test_the_header_is_printable_ascii_and_not_endless():
    decision = decide(CHAT, Preferences("größte"), OFFERS, aliases={"größte": "large"})
    assert decision.summary == "large on GPU: gr??te stands for it in aliases"
    refused = decide(CHAT, Preferences("x" * 5000), OFFERS)
    assert refused.summary.startswith("refused: found no model")
    assert len(refused.summary) <= 400


def test_a_refusal_is_raised_when_it_is_asked_for():
    decision = decide(CHAT, Preferences("nothing"), OFFERS)
    with pytest.raises(ModelNotFound, match="found no model 'nothing', expected"):
        decision.checked()
    served = decide(CHAT, Preferences(), OFFERS)
    assert served.checked() is served


def test_a_missing_model_without_a_fallback_names_the_command():
    with pytest.raises(ModelNotFound, match="found no files of gone, expected a model folder: fastembed pull gone"):
        decide(CHAT, Preferences("gone", model_fallback=False), (*OFFERS, GONE)).checked()


def test_a_circle_of_fallbacks_ends():
    offers = (ModelOffer("a", "chat", fallback="b"), ModelOffer("b", "chat", fallback="a"))
    assert chosen(decide(CHAT, Preferences("b"), offers)) == [("b", "CPU"), ("a", "CPU")]


def test_open_breakers_say_when_to_come_back():
    engines = {
        (offer.name, device): EngineState(breaker="open", retry_after_s=9)
        for offer in OFFERS
        for device in offer.devices
    }
    engines["small", "CPU"] = EngineState(
        breaker="open", retry_after_s=4, breaker_why="breaker open until 12:03:10 (in 4 s)"
    )
    decision = decide(CHAT, Preferences(), OFFERS, MachineLoad(engines))
    with pytest.raises(Unavailable, match="small on CPU: breaker open until 12:03:10") as caught:
        decision.checked()
    assert caught.value.retry_after_s == 4


def test_a_prompt_beyond_every_window_is_the_callers_to_shorten():
    decision = decide(ModelRequirements("chat", tokens=1_000_000), Preferences(), OFFERS)
    with pytest.raises(InvalidInput, match="expected a shorter prompt") as caught:
        decision.checked()
    assert caught.value.code == "context_length_exceeded"


def test_pictures_count_by_what_they_take_of_the_model_that_sees_them():
    eyes = ModelOffer("eyes", "chat", window=1_024, picture_tokens=18, good_at=frozenset({"vision"}))
    many = ModelRequirements("chat", vision=True, tokens=10 + 8 * PICTURE_TOKENS, picture_tokens=8 * PICTURE_TOKENS)
    assert decide(many, Preferences(), (*OFFERS, eyes)).candidates[0].model == "eyes"
    too_many = replace(many, tokens=10 + 200 * PICTURE_TOKENS, picture_tokens=200 * PICTURE_TOKENS)
    with pytest.raises(InvalidInput, match=r"eyes: .* the prompt has about 3,610; .*shorter prompt") as caught:
        decide(too_many, Preferences(), (*OFFERS, eyes)).checked()
    assert caught.value.code == "context_length_exceeded"


def test_a_document_needs_no_model_unless_one_is_named():
    reader = ModelOffer("reader", "document", good_at=frozenset({"document", "vision"}))
    pages = ModelRequirements("document", vision=True, document=True)
    decision = decide(pages, Preferences(), (*OFFERS, reader)).checked()
    assert (decision.candidates, decision.summary[:24]) == ((), "no model: read by rules;")
    assert decide(pages, Preferences("reader"), (*OFFERS, reader)).candidates[0].model == "reader"


def test_a_model_larger_than_the_devices_memory_is_no_candidate():
    engines = {("large", device): EngineState(room="never") for device in ("GPU", "CPU")}
    decision = decide(CHAT, Preferences("large", model_fallback=False), OFFERS, MachineLoad(engines))
    with pytest.raises(Unavailable, match="large on GPU: the device has too little memory for it"):
        decision.checked()


def test_a_picture_that_nobody_sees_is_refused_with_what_would_help():
    eyes = ModelOffer(
        "eyes", "chat", "known", frozenset({"vision"}), devices=(), missing="no files", command="fastembed pull eyes"
    )
    decision = decide(ModelRequirements("chat", vision=True), Preferences(), (*OFFERS, eyes))
    with pytest.raises(InvalidInput, match=r"it sees no pictures.*; eyes could: fastembed pull eyes") as caught:
        decision.checked()
    assert caught.value.code == "unsupported_content"


def test_an_embedding_is_never_made_by_another_model_than_the_first():
    offers = (ModelOffer("a", "embedding", devices=("NPU", "CPU")), ModelOffer("b", "embedding"))
    wanted = ModelRequirements("embedding", tokens=10)
    assert chosen(decide(wanted, Preferences(), offers)) == [("a", "NPU"), ("a", "CPU")]
    assert chosen(decide(wanted, Preferences("b", model_fallback=True), offers)) == [("b", "CPU")]


def test_a_known_name_is_found_in_any_case_and_a_declared_one_as_it_is_written():
    known = ModelOffer("phi", "chat", "known", aliases=("Org/Phi",))
    assert chosen(decide(CHAT, Preferences("org/PHI"), (known,))) == [("phi", "CPU")]
    with pytest.raises(ModelNotFound):
        decide(CHAT, Preferences("LARGE"), OFFERS).checked()
