"""What the router chooses from: the models on offer, and how busy, healthy and full this machine is. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastembed.inference.library.tasks import Task
from fastembed.inference.serving.residency.plan import Outlook

Standing = Literal["declared", "known", "pocket"]
BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """One model that a request may name.

    task: None, it is not declared and its files are missing. standing: `models:` names it, or it goes by a known name,
    or it is a tiny one that ships. good_at: vision, audio, video, document, code, tools. size: billions of parameters,
    or a guess at them from the files; 0: unknown. window: tokens of its context, picture_tokens: what a picture takes
    of it, None: unknown. devices: OpenVINO's names of
    those that `on:` names and that are there, the preferred one first. fallback: the model to use in its place.
    missing: why it cannot be used, as an error says it, with the command that gets it; "": it can. command: what gets
    it; "": nothing to get.
    """

    name: str
    task: Task | None
    standing: Standing = "declared"
    good_at: frozenset[str] = frozenset()
    size: float = 0.0
    window: int | None = None
    picture_tokens: int | None = None
    devices: tuple[str, ...] = ("CPU",)
    aliases: tuple[str, ...] = ()
    fallback: str | None = None
    missing: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class EngineState:
    """One model on one device.

    room: what would come of loading it, as the planner of memory says; without weight where it is loaded.
    waiting: requests before a new one. eta_s: seconds until a new one begins. retry_after_s: when an open breaker lets
    a request try; breaker_why: the same in words. longest_prompt: tokens, where the device fixes them (an NPU), else
    None.
    """

    loaded: bool = False
    waiting: int = 0
    eta_s: float = 0.0
    breaker: BreakerState = "closed"
    retry_after_s: float | None = None
    breaker_why: str = ""
    longest_prompt: int | None = None
    room: Outlook = "free"


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """The machine at this moment: engines by (model, device). What is not named is idle, and has room."""

    engines: Mapping[tuple[str, str], EngineState] = field(default_factory=dict)

    def engine(self, model: str, device: str) -> EngineState:
        """Return the state of a model on a device."""
        return self.engines.get((model, device), _IDLE)


_IDLE = EngineState()
