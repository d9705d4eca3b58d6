"""Why the first candidate is the first, in short sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.inference.library.specs import AUTO
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.routing.analysis import Modality, ModelRequirements, Preferences
from fastembed.inference.serving.routing.offers import ModelOffer
from fastembed.inference.serving.routing.placing import ModelPlacement, Rejected, ordered, prompt_tokens

_NOUNS: Final = {"image": "pictures", "video": "videos", "audio": "sound", "text": "text", "document": "documents"}


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a decision was made from.

    found: the places that can answer, best first. ideal: the first of them if nothing waited and all memory were free.
    """

    preferences: Preferences
    wanted: ModelRequirements
    named: ModelOffer | None
    offers: Sequence[ModelOffer]
    found: Sequence[ModelPlacement]
    ideal: ModelPlacement | None
    rejected: Sequence[Rejected]
    transcriber: str | None
    left_out: tuple[Modality, ...]


def reasons_for(case: Case) -> tuple[str, ...]:
    """Return why `case.found[0]` is the best; at least one reason."""
    return (*_of_model(case), *_of_content(case), *_of_device(case), *_of_pocket(case))


def _of_model(case: Case) -> Iterator[str]:
    best, named = case.found[0].offer, case.named
    if named is None and case.preferences.model != AUTO:
        yield f"{case.preferences.model} stands for auto in aliases"
    if named is None:
        yield _of_choice(case)
        if case.ideal is not None and case.ideal.offer is not best:
            yield f"not {case.ideal.offer.name}: {_put_off(case.ideal)}"
    elif best is named:
        stands = case.preferences.model not in (named.name, *named.aliases)
        yield f"{case.preferences.model} stands for it in aliases" if stands else "asked for by name"
    else:
        why = next((entry.why for entry in case.rejected if entry.model == named.name), "it cannot answer")
        declared = best.name == named.fallback or named.fallback in best.aliases
        yield f"{'the fallback of' if declared else 'in place of'} {named.name}: {why}"


def _of_choice(case: Case) -> str:
    """Say how "auto" came to the model."""
    best, word = case.found[0].offer, case.wanted.reasoning
    if TASKS.of(case.wanted.task).choice != "best":
        return f"the first model for {case.wanted.task} that is here"
    sizes = {place.offer.name: place.offer.size for place in case.found if place.offer.standing == best.standing}
    if len(sizes) == 1:
        return f"{word} request, the only model that can answer"
    if case.wanted.code and "code" in best.good_at:
        return f"{word} request about code, which it is good at"
    return f"{word} request, {_by_difficulty(case, list(sizes.values()))}"


def _by_difficulty(case: Case, sizes: Sequence[float]) -> str:
    best, word = case.found[0].offer, case.wanted.reasoning
    if best.size and word == "complex" and best.size == max(sizes):
        return f"the largest of {len(sizes)} models"
    if word != "complex" and any(place.engine.loaded for place in case.found if place.offer is best):
        return "it is loaded"
    if best.size and word == "simple" and best.size == min(filter(None, sizes)):
        return f"the smallest of {len(sizes)} models"
    first = next(offer for offer in case.offers if any(place.offer is offer for place in case.found))
    return f"{'the first' if best is first else 'the best place'} of {len(sizes)} models"


def _of_content(case: Case) -> Iterator[str]:
    best = case.found[0]
    wanted, good_at = case.wanted, best.offer.good_at
    if case.left_out:
        yield f"{' and '.join(_NOUNS[name] for name in case.left_out)} left out (modality_routing force_text)"
    if wanted.task == "chat" and case.preferences.modality_routing == "force_multimodal":
        yield f"it {'hears' if wanted.audio else 'sees'} (modality_routing force_multimodal)"
    elif wanted.vision or wanted.video:
        yield "it sees the pictures"
    if wanted.audio and wanted.task == "chat" and case.preferences.modality_routing != "force_multimodal":
        yield "it hears the sound" if "audio" in good_at else f"sound is written down first by {case.transcriber}"
    if wanted.document and wanted.task == "chat":
        yield "documents become text first"
    if wanted.tools and "tools" in good_at:
        yield "it calls tools"
    if best.tight:
        tokens = prompt_tokens(best.offer, wanted)
        yield f"about {tokens:,} tokens may be too many for its context of {best.offer.window:,}"


def _of_device(case: Case) -> Iterator[str]:
    """Say why the devices that `on:` names before the chosen one are not taken."""
    best = case.found[0]
    preferred = ordered(best.offer.devices, case.preferences)
    if preferred != list(best.offer.devices):
        yield f"npu_priority {case.preferences.npu_priority}"
    for device in preferred[: preferred.index(best.device)]:
        why = next(
            (entry.why for entry in case.rejected if (entry.model, entry.device) == (best.offer.name, device)), None
        )
        later = next((place for place in case.found if (place.offer, place.device) == (best.offer, device)), None)
        yield f"not on {device}: {why or (_put_off(later) if later else '')}"


def _put_off(place: ModelPlacement) -> str:
    """Say why a place that could answer goes behind."""
    return "its memory is full" if place.full else f"a queue of {place.engine.eta_s:.0f} s"


def _of_pocket(case: Case) -> Iterator[str]:
    """Say that a pocket model answers, and how to get a real one."""
    best = case.found[0].offer
    if best.standing != "pocket" or best is case.named:
        return
    command = next((offer.command for offer in wishes(case) if offer.command), "")
    yield f"a pocket model, for want of a real one{f': {command}' if command else ''}"


def wishes(case: Case) -> list[ModelOffer]:
    """Return the models that could answer if their files were here: declared ones first."""
    wanted = case.wanted
    needed = {name for name, needs in (("vision", wanted.vision), ("vision", wanted.video)) if needs}
    if case.preferences.modality_routing == "force_multimodal":
        needed.add("audio" if wanted.audio else "vision")
    return [
        offer
        for offer in sorted(case.offers, key=lambda offer: offer.standing != "declared")
        if offer.missing
        and offer.command
        and needed <= offer.good_at
        and TASKS.of(wanted.task).serves(offer.task)
        and (offer.window is None or offer.window >= prompt_tokens(offer, wanted))
    ]
