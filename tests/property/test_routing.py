"""Whatever models, devices, queues and breakers there are: what every decision promises."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed.inference.serving.routing.analysis import ModelRequirements, Preferences
from fastembed.inference.serving.routing.decision import decide
from fastembed.inference.serving.routing.offers import EngineState, MachineLoad, ModelOffer

NAMES = ["a", "b", "c", "d"]
DEVICES = ["NPU", "GPU", "CPU"]
ABILITIES = ["vision", "audio", "video", "code", "tools"]
OFFER = st.builds(
    ModelOffer,
    name=st.sampled_from(NAMES),
    task=st.sampled_from(["chat", "code", "embedding", "transcription", None]),
    standing=st.sampled_from(["declared", "known", "pocket"]),
    good_at=st.frozensets(st.sampled_from(ABILITIES)),
    size=st.sampled_from([0, 0.5, 4, 8]),
    window=st.sampled_from([None, 100, 10_000]),
    devices=st.lists(st.sampled_from(DEVICES), unique=True).map(tuple),
    fallback=st.sampled_from([None, *NAMES]),
    missing=st.sampled_from(["", "", "no files"]),
)
ENGINE = st.builds(
    EngineState,
    loaded=st.booleans(),
    eta_s=st.sampled_from([0.0, 3.0, 60.0]),
    breaker=st.sampled_from(["closed", "open", "half_open"]),
    retry_after_s=st.sampled_from([None, 5.0]),
    longest_prompt=st.sampled_from([None, 50]),
    room=st.sampled_from(["free", "swap", "wait", "never"]),
)
LOAD = st.builds(
    MachineLoad,
    engines=st.dictionaries(st.tuples(st.sampled_from(NAMES), st.sampled_from(DEVICES)), ENGINE),
)
WANTED = st.builds(
    ModelRequirements,
    task=st.sampled_from(["chat", "embedding", "transcription"]),
    vision=st.booleans(),
    audio=st.booleans(),
    code=st.booleans(),
    reasoning=st.sampled_from(["simple", "moderate", "complex"]),
    tokens=st.sampled_from([1, 60, 5_000, 50_000]),
    tools=st.booleans(),
    logprobs=st.booleans(),
)
PREFERENCES = st.builds(
    Preferences,
    model=st.sampled_from(["auto", "auto", *NAMES, "nobody"]),
    modality_routing=st.sampled_from(["auto", "force_multimodal", "force_text"]),
    npu_priority=st.sampled_from(["high", "normal", "low"]),
    model_fallback=st.sampled_from([None, True, False]),
)
OFFERS = st.lists(OFFER, max_size=4, unique_by=lambda offer: offer.name)


@settings(max_examples=200, deadline=None)
@given(WANTED, PREFERENCES, OFFERS, LOAD)
def test_a_decision_names_who_can_answer_or_says_why_nobody_can(wanted, wishes, offers, load):
    decision = decide(wanted, wishes, offers, load)
    by_name = {offer.name: offer for offer in offers}
    places = [(candidate.model, candidate.device) for candidate in decision.candidates]
    assert str(decision) == str(decide(wanted, wishes, offers, load)) or decision.refusal
    assert bool(decision.candidates) == (decision.refusal is None) == bool(decision.reasons)
    assert len(places) == len(set(places))
    assert decision.summary.isascii()
    for candidate in decision.candidates:
        offer = by_name[candidate.model]
        assert not offer.missing
        assert candidate.device in offer.devices
        assert load.engine(*places[decision.candidates.index(candidate)]).breaker != "open"
        assert candidate.pocket == (offer.standing == "pocket")
        seen = wanted.task == "chat" and wanted.vision and "image" not in decision.left_out
        assert not seen or "vision" in offer.good_at
        hears = candidate.hears or decision.transcriber is not None
        assert hears or not (wanted.audio and wanted.task == "chat")
    if wishes.model == "auto":
        standing = [candidate.pocket for candidate in decision.candidates]
        assert standing == sorted(standing)
        assert not decision.substitute
    elif wishes.model_fallback is False:
        assert {model for model, _ in places} <= {wishes.model}
    elif decision.candidates:
        assert decision.substitute == (places[0][0] != wishes.model)
    if wanted.task == "embedding" and wishes.model == "auto":
        assert len({model for model, _ in places}) <= 1
