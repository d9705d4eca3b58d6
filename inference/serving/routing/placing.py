"""Which models, and which of their devices, can answer a request at all; of the others, why they cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.serving.routing.analysis import PICTURE_TOKENS, ModelRequirements, Preferences
from fastembed.inference.serving.routing.offers import EngineState, MachineLoad, ModelOffer

Cause = Literal["missing", "modality", "window", "device", "memory", "breaker", "preference"]

CERTAIN: Final = 2
"""An estimate this many times beyond a window is beyond it: no text has so few tokens."""
CAUTION: Final = 0.8
"""The share of an NPU's longest prompt that an estimate may fill: there, a token too many is an error."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A model, or one of its devices, that cannot answer. retry_after_s: when to ask again."""

    model: str
    device: str | None
    cause: Cause
    why: str
    retry_after_s: float | None = None

    def __str__(self) -> str:
        """Return it as a list shows it."""
        return f"{self.model} on {self.device}: {self.why}" if self.device else f"{self.model}: {self.why}"


@dataclass(frozen=True, slots=True)
class ModelPlacement:
    """A model on a device that can answer. rank: of the device for this request, 0 is the first.

    tight: the prompt may not fit into the window. full: the device has no room for it at the moment.
    """

    offer: ModelOffer
    device: str
    engine: EngineState
    rank: int
    tight: bool = False
    full: bool = False


def places(
    offers: Sequence[ModelOffer],
    wanted: ModelRequirements,
    preferences: Preferences,
    load: MachineLoad,
    *,
    transcribes: bool,
) -> tuple[list[ModelPlacement], list[Rejected]]:
    """Return the places, model by model, and what was rejected. transcribes: sound can be turned into text first."""
    found: list[ModelPlacement] = []
    rejected: list[Rejected] = []
    for offer in offers:
        why = next(_unfit(offer, wanted, preferences, transcribes=transcribes), None)
        if why is not None:
            rejected.append(why)
            continue
        for rank, device in enumerate(ordered(offer.devices, preferences)):
            engine = load.engine(offer.name, device)
            unusable = next(_unusable(offer, device, engine, wanted), None)
            if unusable is None:
                found.append(
                    ModelPlacement(
                        offer,
                        device,
                        engine,
                        rank,
                        tight=offer.window is not None and prompt_tokens(offer, wanted) > offer.window,
                        full=engine.room == "wait" and not engine.loaded,
                    )
                )
            else:
                rejected.append(unusable)
    return found, rejected


def ordered(devices: Sequence[str], preferences: Preferences) -> list[str]:
    """Return the devices as `on:` orders them; `npu_priority` moves the NPU to the front or to the end."""
    move = {"high": -1, "normal": 0, "low": 1}[preferences.npu_priority]
    return sorted(devices, key=lambda device: move if traits_of(device).npu_priority else 0)


def prompt_tokens(offer: ModelOffer, wanted: ModelRequirements) -> int:
    """Return the estimate of a prompt's tokens for a model, with what it takes for a picture."""
    if offer.picture_tokens is None:
        return wanted.tokens
    pictures = wanted.picture_tokens // PICTURE_TOKENS
    return wanted.tokens - wanted.picture_tokens + pictures * offer.picture_tokens


def _unfit(
    offer: ModelOffer, wanted: ModelRequirements, preferences: Preferences, *, transcribes: bool
) -> Iterator[Rejected]:
    """Give the reasons against a model on whatever device."""
    if offer.missing:
        yield Rejected(offer.name, None, "missing", offer.missing)
    if preferences.modality_routing == "force_multimodal" and wanted.task == "chat":
        needed, verb = ("audio", "hears") if wanted.audio else ("vision", "sees")
        if needed not in offer.good_at:
            yield Rejected(offer.name, None, "preference", f"force_multimodal asks for a model that {verb}")
    if wanted.vision and "vision" not in offer.good_at:
        yield Rejected(offer.name, None, "modality", "it sees no pictures")
    if wanted.video and not offer.good_at & {"vision", "video"}:
        yield Rejected(offer.name, None, "modality", "it sees no videos")
    if wanted.audio and wanted.task == "chat" and "audio" not in offer.good_at and not transcribes:
        yield Rejected(offer.name, None, "modality", "it hears nothing, and no speech model is here to write it down")
    tokens = prompt_tokens(offer, wanted)
    if offer.window is not None and wanted.task == "chat" and tokens > CERTAIN * offer.window:
        yield Rejected(
            offer.name,
            None,
            "window",
            f"its context holds {offer.window:,} tokens, the prompt has about {tokens:,}",
        )
    if not offer.devices:
        yield Rejected(offer.name, None, "device", "none of the devices of its `on:` is there")


def _unusable(offer: ModelOffer, device: str, engine: EngineState, wanted: ModelRequirements) -> Iterator[Rejected]:
    """Give the reasons against a model on this device."""
    if engine.breaker == "open":
        yield Rejected(offer.name, device, "breaker", engine.breaker_why or "breaker open", engine.retry_after_s)
    traits = traits_of(device)
    if wanted.task == "chat" and "audio" in offer.good_at and not traits.hears:
        yield Rejected(offer.name, device, "device", f"models that hear do not run on {traits.noun}")
    longest, tokens = engine.longest_prompt, prompt_tokens(offer, wanted)
    if longest is not None and tokens > CAUTION * longest:
        yield Rejected(
            offer.name,
            device,
            "window",
            f"it takes prompts of {longest:,} tokens, this one has about {tokens:,}",
        )
    if wanted.logprobs and (not traits.logprobs or "audio" in offer.good_at):
        whose = "the engine of models that hear" if traits.logprobs else f"{traits.noun}'s engine"
        yield Rejected(offer.name, device, "device", f"{whose} tells no logprobs")
    if engine.room == "never" and not engine.loaded:
        yield Rejected(offer.name, device, "memory", "the device has too little memory for it")
