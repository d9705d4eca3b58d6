"""Who answers a request, and why: a pure function of what it needs, what the caller wants, and what is there.

A named model answers, or what its `fallback:` names, or none: see `Preferences.model_fallback`. With "auto" the
models that can answer stand in this order; each line counts where those above it are equal:

1. real models before pocket ones, and of those the ones that were made for the like;
2. a context that holds the prompt, by estimate;
3. for code, models that are good at it; for tools, models that call them; for sound, models that hear;
4. a device that has room for the model, and where no request waits longer than `PATIENCE_S`;
5. by difficulty: complex requests to the largest; simple ones to what is loaded, then to the smallest; moderate ones to
   what is loaded;
6. the order of `models:`, then of the names that are known; a model's devices in the order of `on:`.

"auto" of another task than chat is the first model that is there (`TaskKind.choice`): an index holds the vectors of one
model only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.naming import unknown
from fastembed.inference.library.specs import AUTO
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.routing.analysis import Modality, ModelRequirements, Preferences
from fastembed.inference.serving.routing.offers import MachineLoad, ModelOffer
from fastembed.inference.serving.routing.placing import ModelPlacement, Rejected, places
from fastembed.inference.serving.routing.reasons import Case, reasons_for
from fastembed.inference.serving.routing.refusal import refusal_of
from fastembed.pipeline.errors import ItemError, ModelNotFound

PATIENCE_S: Final = 5.0
"""A place whose queue takes longer goes behind one whose does not."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Who answers a request.

    wanted: the name in the request. candidates: best first; each can answer. reasons: why the first one. substitute:
    it is not the one that was named. transcriber: the speech model that turns the request's sound into text for a
    candidate that does not hear. left_out: what the caller wants not to be shown to the model. refusal: the error to
    raise where there are no candidates, and no need of any: documents are read by rules unless a model is named.
    """

    wanted: str
    candidates: tuple[Candidate, ...] = ()
    reasons: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    substitute: bool = False
    transcriber: str | None = None
    left_out: tuple[Modality, ...] = ()
    refusal: ItemError | None = None

    @property
    def summary(self) -> str:
        """Return one line for a header, in printable ASCII: `phi-4-mini on GPU: about code, which it is good at`."""
        text = f"refused: {self.refusal}" if self.refusal else f"no model: {'; '.join(self.reasons)}"
        if self.candidates:
            first = self.candidates[0]
            text = f"{first.model} on {first.device}: {'; '.join(self.reasons)}"
        return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:400]

    def checked(self) -> Decision:
        """Return itself; raise its refusal if it has one."""
        if self.refusal is not None:
            raise self.refusal
        return self


def decide(
    requirements: ModelRequirements,
    preferences: Preferences,
    offers: Sequence[ModelOffer],
    load: MachineLoad | None = None,
    *,
    aliases: Mapping[str, str] | None = None,
) -> Decision:
    """Choose. offers: declared ones first, in their order. aliases: other names, to a model's or "auto"."""
    load = load or MachineLoad()
    if requirements.audio and requirements.task == "chat" and preferences.modality_routing == "force_text":
        offers = [replace(offer, good_at=offer.good_at - {"audio"}) for offer in offers]  # sound comes as text
    name = (aliases or {}).get(preferences.model, preferences.model)
    named = None if name == AUTO else _find(name, offers)
    if name != AUTO and (named is None or not _serves(named, requirements)):
        return Decision(preferences.model, refusal=_no_such(name, named, requirements, offers))
    if named is None and (without := TASKS.of(requirements.task).without_model):
        return Decision(preferences.model, reasons=(without,))
    wanted, left_out = _shown(requirements, preferences)
    reads = wanted.audio and wanted.task == "chat" and preferences.modality_routing != "force_multimodal"
    transcriber = _transcriber(offers) if reads else None
    found: list[ModelPlacement] = []
    rejected: list[Rejected] = []
    ideal: ModelPlacement | None = None
    for group in _groups(named, preferences, offers, wanted):
        can, cannot = places(group, wanted, preferences, load, transcribes=transcriber is not None)
        found += _ranked(can, group, wanted, preferences)
        ideal = ideal or next(iter(_ranked(can, group, wanted, preferences, idle=True)), None)
        rejected += cannot
    case = Case(preferences, wanted, named, offers, found, ideal, rejected, transcriber, left_out)
    if not found:
        return Decision(preferences.model, rejected=tuple(rejected), refusal=refusal_of(case))
    least = _shortfalls(found[0].offer, wanted)
    return Decision(
        preferences.model,
        tuple(_candidate(place, lesser=named is None and _shortfalls(place.offer, wanted) > least) for place in found),
        reasons_for(case),
        tuple(rejected),
        substitute=named is not None and found[0].offer is not named,
        transcriber=transcriber,
        left_out=left_out,
    )


def _candidate(place: ModelPlacement, *, lesser: bool) -> Candidate:
    offer = place.offer
    pocket = offer.standing == "pocket"
    return Candidate(offer.name, place.device, pocket=pocket, hears="audio" in offer.good_at, lesser=lesser)


def _find(name: str, offers: Sequence[ModelOffer]) -> ModelOffer | None:
    """Return the offer of a name or an alias; of the known ones in any case of letters."""
    exact = next((offer for offer in offers if name == offer.name), None)
    exact = exact or next((offer for offer in offers if name in offer.aliases), None)
    folded = name.casefold()
    return exact or next(
        (
            offer
            for offer in offers
            if offer.standing == "known" and folded in (known.casefold() for known in (offer.name, *offer.aliases))
        ),
        None,
    )


def _serves(offer: ModelOffer, wanted: ModelRequirements) -> bool:
    return offer.task is None or TASKS.of(wanted.task).serves(offer.task)


def _no_such(name: str, named: ModelOffer | None, wanted: ModelRequirements, offers: Sequence[ModelOffer]) -> ItemError:
    if named is not None:
        return ModelNotFound(
            f"found {name!r:.80}, a model for {named.task}, expected one for {wanted.task}", param="model"
        )
    mine = [offer for offer in offers if _serves(offer, wanted)]
    here = [offer.name for offer in mine if not offer.missing]
    others = [other for offer in mine for other in (offer.name, *offer.aliases)]
    return ModelNotFound(unknown(name, wanted.task, here, others), param="model")


def _shown(wanted: ModelRequirements, preferences: Preferences) -> tuple[ModelRequirements, tuple[Modality, ...]]:
    """Return what is left of the requirements where only text is to be shown to the model."""
    if preferences.modality_routing != "force_text" or not (wanted.vision or wanted.video):
        return wanted, ()
    left_out: list[Modality] = ["image"] if wanted.vision else []
    left_out += ["video"] if wanted.video else []
    text = replace(wanted, vision=False, video=False, tokens=wanted.tokens - wanted.picture_tokens, picture_tokens=0)
    return text, tuple(left_out)


def _transcriber(offers: Sequence[ModelOffer]) -> str | None:
    here = [offer for offer in offers if offer.task == "transcription" and not offer.missing and offer.devices]
    here.sort(key=lambda offer: offer.standing == "pocket")
    return here[0].name if here else None


def _groups(
    named: ModelOffer | None, preferences: Preferences, offers: Sequence[ModelOffer], wanted: ModelRequirements
) -> list[list[ModelOffer]]:
    """Return the models that may answer; no model of a later group comes before one of an earlier."""
    pool = [offer for offer in offers if _serves(offer, wanted)]
    if named is None:
        return _automatic(pool, wanted)
    chain = [named]
    while preferences.model_fallback is not False and (after := _find(chain[-1].fallback or "", pool)):
        if after in chain:
            break
        chain.append(after)
    groups = [[offer] for offer in chain]
    if preferences.model_fallback and TASKS.of(wanted.task).choice != "only":
        groups += _automatic([offer for offer in pool if offer not in chain], wanted)
    return groups


def _automatic(pool: Sequence[ModelOffer], wanted: ModelRequirements) -> list[list[ModelOffer]]:
    """Return the groups of "auto". A known model whose files are not here is no candidate that anybody expects."""
    real = [
        offer for offer in pool if offer.standing == "declared" or (offer.standing == "known" and not offer.missing)
    ]
    pocket = [offer for offer in pool if offer.standing == "pocket"]
    choice = TASKS.of(wanted.task).choice
    if choice == "best":
        return [real, pocket]
    in_order = [[offer] for offer in (*real, *pocket)]
    if choice == "only":
        return next(([group] for group in in_order if not group[0].missing), in_order[:1])
    return in_order


def _ranked(
    found: list[ModelPlacement],
    group: Sequence[ModelOffer],
    wanted: ModelRequirements,
    preferences: Preferences,
    *,
    idle: bool = False,
) -> list[ModelPlacement]:
    """Return the places, best first; the order of keys is that of this file's docstring. idle: as if nothing waited."""
    order = {offer.name: index for index, offer in enumerate(group)}
    loaded = {place.offer.name for place in found if place.engine.loaded}

    def key(place: ModelPlacement) -> tuple[float, ...]:
        offer = place.offer
        stays = idle or (preferences.npu_priority == "high" and traits_of(place.device).npu_priority)
        return (
            place.tight,
            *_shortfalls(offer, wanted)[1:],  # pocket models have a group of their own
            place.full and not stays,
            place.engine.eta_s > PATIENCE_S and not stays,
            *_by_difficulty(offer, wanted, loaded=offer.name in loaded),
            order[offer.name],
            place.rank,
        )

    return sorted(found, key=key)


def _shortfalls(offer: ModelOffer, wanted: ModelRequirements) -> tuple[bool, ...]:
    """Return what a model lacks for the request, the worst first."""
    pocket = offer.standing == "pocket"
    return (
        pocket,
        pocket and _is_for_something_else(offer, wanted),
        wanted.code and not (offer.task == "code" or "code" in offer.good_at),
        wanted.tools and "tools" not in offer.good_at,
        wanted.audio and "audio" not in offer.good_at,
    )


def _is_for_something_else(offer: ModelOffer, wanted: ModelRequirements) -> bool:
    """Whether a pocket model's one trick (to see, to write code) is not what is asked for."""
    sees = "vision" in offer.good_at and not (wanted.vision or wanted.video)
    codes = (offer.task == "code" or "code" in offer.good_at) and not wanted.code
    return sees or codes


def _by_difficulty(offer: ModelOffer, wanted: ModelRequirements, *, loaded: bool) -> tuple[float, float]:
    if wanted.reasoning == "complex":
        return (-offer.size, 0)
    return (not loaded, (offer.size or float("inf")) if wanted.reasoning == "simple" else 0)
