"""The corpus of requests: how tests/assets/routing/ is read, and how docs/routing.md shows it.

requests.yaml says at its head what its words mean. `python -m tests.unit.inference.serving.routing.corpus` writes the
page's tables anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fastembed.inference.serving.routing.analysis import (
    ContentProfile,
    ModelRequirements,
    Preferences,
    of_document,
    of_speech,
    of_texts,
    preferences,
    profile,
    requirements,
)
from fastembed.inference.serving.routing.decision import Decision, decide
from fastembed.inference.serving.routing.offers import EngineState, MachineLoad, ModelOffer
from fastembed.pipeline.payload.chat import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    Sampling,
    TextPart,
    Tool,
    VideoPart,
)
from fastembed.pipeline.payload.embedding import EmbeddingRequest

ROOT = Path(__file__).parents[5]
ASSETS = ROOT / "tests" / "assets" / "routing"
PAGE = ROOT / "docs" / "routing.md"
BEGIN, END = "<!-- the examples begin -->\n", "<!-- the examples end -->\n"
_NPU_PROMPT = 1024


@dataclass(frozen=True)
class Case:
    """One request and who is to answer it."""

    title: str
    section: str
    given: Mapping[str, Any]

    @property
    def machine(self) -> str:
        return self.given.get("machine", "laptop")

    @property
    def then(self) -> Mapping[str, Any]:
        return self.given["then"]

    def decided(self) -> tuple[ModelRequirements, Decision]:
        """Decide it."""
        found, wishes = _understood(self.given)
        needs = requirements(found)
        offers, load = _machine(MACHINES[self.machine], self.given.get("when", {}))
        return needs, decide(needs, wishes, offers, load, aliases=self.given.get("aliases"))


def _machine(models: Mapping[str, Any], when: Mapping[str, Any]) -> tuple[list[ModelOffer], MachineLoad]:
    offers = [_offer(name, dict(spec)) for name, spec in models.items()]
    engines: dict[tuple[str, str], EngineState] = {}
    for offer in offers:
        for device in offer.devices:
            place = f"{offer.name} on {device}"
            eta_s = when.get("waiting", {}).get(place, 0)
            broken = when.get("broken", {}).get(place)
            engines[offer.name, device] = EngineState(
                loaded=place in when.get("loaded", ()),
                waiting=int(eta_s),
                eta_s=eta_s,
                breaker="open" if isinstance(broken, int) else broken or "closed",
                retry_after_s=broken if isinstance(broken, int) else None,
                breaker_why=f"breaker open until 12:03:{broken:02} (in {broken} s)" if isinstance(broken, int) else "",
                room="wait" if place in when.get("full", ()) else "never" if place in when.get("small", ()) else "free",
                longest_prompt=_NPU_PROMPT if device == "NPU" and offer.task == "chat" else None,
            )
    return offers, MachineLoad(engines)


def _offer(name: str, spec: dict[str, Any]) -> ModelOffer:
    missing = spec.get("missing", False)
    command = f"fastembed pull {name}"
    return ModelOffer(
        name=name,
        task=spec["task"],
        standing="pocket" if spec.get("pocket") else "known" if spec.get("known") else "declared",
        good_at=frozenset(spec.get("good_at", ())),
        size=spec.get("size", 0),
        window=spec.get("window"),
        devices=tuple(spec.get("devices", ("CPU",))),
        aliases=tuple(spec.get("aliases", ())),
        fallback=spec.get("fallback"),
        missing=f"found no files of {name}, expected a model folder: {command}" if missing else "",
        command=command if missing else "",
    )


def _understood(given: Mapping[str, Any]) -> tuple[ContentProfile, Preferences]:
    wishes = Preferences(given.get("model", "auto"), model_fallback=given.get("model_fallback"))
    if "embed" in given:
        request = EmbeddingRequest(given["embed"], model=wishes.model)
        return profile(request), preferences(request)
    if "rerank" in given:
        return of_texts("rerank", given["rerank"]), wishes
    if "recording" in given:
        return of_speech(given["recording"]), wishes
    if "document" in given:
        return of_document(0, given["document"]), wishes
    request = _chat(given)
    return profile(request), preferences(request)


def _chat(given: Mapping[str, Any]) -> ChatRequest:
    text = given.get("ask", "") * given.get("times", 1)
    before = [Message(role, (TextPart(said),)) for turn in given.get("after", ()) for role, said in turn.items()]
    parts = (TextPart(text), *_media(given))
    return ChatRequest(
        (*before, Message("user", parts)) if "complete" not in given else (),
        model=given.get("model", "auto"),
        sampling=Sampling(logprobs=given.get("logprobs", False)),
        tools=tuple(Tool(name) for name in given.get("tools", ())),
        json=given.get("schema"),
        prompt=given.get("complete"),
        reasoning_effort=given.get("effort"),
        model_fallback=given.get("model_fallback"),
        modality_routing=given.get("modality_routing", "auto"),
        npu_priority=given.get("npu_priority", "normal"),
    )


def _media(given: Mapping[str, Any]) -> Iterator[Part]:
    for _ in range(given.get("pictures", 0)):
        yield ImagePart(np.zeros((2, 2, 3), np.uint8))
    if seconds := given.get("sound"):
        yield AudioPart(np.zeros(seconds * 16_000, np.float32))
    if frames := given.get("frames"):
        yield VideoPart(np.zeros((frames, 2, 2, 3), np.uint8), range(frames))
    if pages := given.get("pdf"):
        yield DocumentPart(bytes(pages * 60_000), "a.pdf")


def _read(name: str) -> Any:
    return yaml.safe_load((ASSETS / name).read_text(encoding="utf-8"))


MACHINES: Mapping[str, Mapping[str, Any]] = _read("machines.yaml")
CASES = [
    Case(title, section, given) for section, cases in _read("requests.yaml").items() for title, given in cases.items()
]


def tables() -> str:
    """Return the examples as docs/routing.md shows them."""
    lines: list[str] = []
    for section in dict.fromkeys(case.section for case in CASES):
        lines += ["", f"### {section}", "", "| | Request | Answered by | Why |", "|---|---|---|---|"]
        lines += [_row(case) for case in CASES if case.section == section]
    return "\n".join([*lines, "", ""])


def _row(case: Case) -> str:
    _, decision = case.decided()
    if decision.refusal is None:
        first = decision.candidates[0]
        answer, why = f"{first.model} on {first.device}", "; ".join(decision.reasons)
    else:
        answer, why = f"{decision.refusal.status} `{decision.refusal.code}`", str(decision.refusal)
    return f"| {case.title} | {_cell(_asked(case.given))} | {answer} | {_cell(why)} |"


def _asked(given: Mapping[str, Any]) -> str:
    """Say in a few words what is asked, and where."""
    text = given.get("ask", given.get("complete"))
    parts = [] if text is None else [repr(text[:70]) + (f" × {given['times']:,}" if "times" in given else "")]
    parts += [
        f"{key}: {_plain(value)}" for key, value in given.items() if key not in ("ask", "complete", "times", "then")
    ]
    return ", ".join(parts)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.split(END)[1], encoding="utf-8")
