"""The router of this process: looks at what is there, and lets `decide` choose."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastembed.inference.library.capabilities import capabilities_of
from fastembed.inference.library.catalog import LocatedModel, capabilities, is_pocket
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.hub.known import KNOWN, KnownModel, command_for, find_known
from fastembed.inference.library.hub.known import missing as missing_files
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.residency.plan import Outlook
from fastembed.inference.serving.resilience.breakers import Breakers, BreakerView
from fastembed.inference.serving.routing.analysis import (
    ContentProfile,
    ModelRequirements,
    Preferences,
    Request,
    preferences,
    profile,
    requirements,
)
from fastembed.inference.serving.routing.decision import Decision, decide
from fastembed.inference.serving.routing.offers import EngineState, MachineLoad, ModelOffer, Standing
from fastembed.pipeline.errors import ModelNotFound, Unavailable

ANSWER_S: Final = 1.0
"""What an answer is taken to last where one goes after the other, on an NPU or of a model that hears."""
FRESH_S: Final = 1.0
"""How long a look at disk and memory holds: which files are there, and who has room, is no question of milliseconds."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a request was understood, what that requires, and who answers."""

    profile: ContentProfile
    requirements: ModelRequirements
    preferences: Preferences
    decision: Decision


class Router:
    """Chooses model and device for requests, a resource of the process's components. Call it on one event loop."""

    def __init__(
        self, models: Models, *, breakers: Breakers | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Choose among these models. clock: seconds."""
        self._models = models
        self._breakers = breakers
        self._clock = clock
        self._offers: list[ModelOffer] = []
        self._rooms: dict[tuple[str, str], Outlook] = {}
        self._looked_s = float("-inf")

    def decide(self, request: Request, *, default: str = "auto") -> Decision:
        """Choose model and device. default: what "auto" means here, such as a step's own `model:`.

        Raises ModelNotFound, InvalidInput (unsupported_content, context_length_exceeded), Unavailable.
        """
        return self.explain(request, default=default).decision.checked()

    def explain(self, request: Request, *, default: str = "auto") -> Explanation:
        """Explain the routing decision for a request without running it; a refusal is in the decision."""
        return self.explain_profile(profile(request), preferences(request), default=default)

    def explain_profile(self, found: ContentProfile, wishes: Preferences, *, default: str = "auto") -> Explanation:
        """Explain the routing decision for a request of this profile."""
        if wishes.model == "auto" and default != "auto":
            wishes = Preferences(default, wishes.modality_routing, wishes.npu_priority, wishes.model_fallback)
        needs = requirements(found)
        offers = self.offers()
        decision = decide(needs, wishes, offers, self._load(offers), aliases=self._models.catalog.aliases)
        return Explanation(found, needs, wishes, decision)

    def offers(self) -> list[ModelOffer]:
        """Return the models on offer: declared ones in their order, known ones, then those that ship."""
        now_s = self._clock()
        if now_s - self._looked_s > FRESH_S:
            self._offers = self._look()
            self._looked_s = now_s
        return self._offers

    def look_again(self) -> None:
        """Look at disk and memory before the next decision: a model has come."""
        self._looked_s = float("-inf")

    def hears(self) -> bool:
        """Whether a chat model is there that takes sound as it is."""
        return any("audio" in offer.good_at and not offer.missing for offer in self.offers())

    def _look(self) -> list[ModelOffer]:
        self._models.catalog.look_again()
        placed = self._models.catalog.placed()
        names = {model.name for model in placed}
        self._rooms = {
            (model.name, device): self._room(model, device)
            for model in placed
            if model.folder and model.task and TASKS.of(model.task).load
            for device in self._devices(model)
        }
        offers = [self._of_placed(model) for model in placed]
        offers += [self._of_known(known) for known in KNOWN if known.name not in names]
        return sorted(offers, key=lambda offer: offer.standing == "pocket")

    def _of_placed(self, model: LocatedModel) -> ModelOffer:
        spec = model.spec
        known = find_known(spec.origin) or find_known(model.name)
        found = capabilities(model)
        command = command_for(model.name, spec.origin)
        missing = "" if model.folder else missing_files(model.name, spec.origin)
        return ModelOffer(
            name=model.name,
            task=model.task or (known.task if known else None),
            standing=self._standing(model),
            good_at=frozenset(found.good_at),
            size=found.size,
            window=found.window,
            picture_tokens=found.picture_tokens,
            devices=self._devices(model),
            aliases=spec.aliases,
            fallback=spec.fallback,
            missing=missing,
            command=command if missing else "",
        )

    def _standing(self, model: LocatedModel) -> Standing:
        if is_pocket(model.spec):
            return "pocket"
        return "declared" if self._models.catalog.declares(model.name) else "known"

    def _devices(self, model: LocatedModel) -> tuple[str, ...]:
        try:
            return tuple(self._models.choices(model))
        except Unavailable:
            return ()

    def _room(self, model: LocatedModel, device: str) -> Outlook:
        try:
            return self._models.outlook(model, device)
        except ModelNotFound:  # an adapter or a draft model is missing: who lends the model says so
            return "free"

    def _of_known(self, known: KnownModel) -> ModelOffer:
        """Describe a known model whose files are not here."""
        found = capabilities_of(known.name, known.name, known.task, None)
        return ModelOffer(
            name=known.name,
            task=known.task,
            standing="known",
            good_at=frozenset(found.good_at),
            size=found.size,
            window=found.window,
            aliases=known.other_names,
            fallback=known.fallback,
            missing=f"found no files of {known.name}, expected a model folder: {known.command}",
            command=known.command,
        )

    def _load(self, offers: list[ModelOffer]) -> MachineLoad:
        views = self._breakers.views() if self._breakers else []
        health = {(view.model, view.device): view for view in views}
        engines = {
            (offer.name, device): self._engine(offer, device, health.get((offer.name, device)))
            for offer in offers
            if not offer.missing
            for device in offer.devices
        }
        return MachineLoad(engines)

    def _engine(self, offer: ModelOffer, device: str, health: BreakerView | None) -> EngineState:
        model: Any = self._models.at(offer.name, device)
        waiting: int = getattr(getattr(model, "process", None), "busy", 0)
        return EngineState(
            loaded=model is not None,
            waiting=waiting,
            eta_s=0.0 if traits_of(device).batches and "audio" not in offer.good_at else waiting * ANSWER_S,
            breaker=health.state if health else "closed",
            retry_after_s=health.retry_after_s if health else None,
            breaker_why=health.why if health else "",
            longest_prompt=self._longest_prompt(offer, device),
            room=self._rooms.get((offer.name, device), "free"),
        )

    def _longest_prompt(self, offer: ModelOffer, device: str) -> int | None:
        """Return what an NPU takes; it is fixed when a model is compiled."""
        if offer.task is None or not traits_of(device).fixed_shapes:
            return None
        properties = self._models.devices.generation_properties(device)
        return TASKS.of(offer.task).longest_prompt(properties, offer.window)
