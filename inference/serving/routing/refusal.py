"""The error for a request that no model here can answer: what stands against each, and what would help."""

from __future__ import annotations

from fastembed.inference.serving.routing.reasons import Case, wishes
from fastembed.pipeline.errors import InvalidInput, ItemError, ModelNotFound, Unavailable


def refusal_of(case: Case) -> ItemError:
    """Return the error. The cause that passes soonest decides: who waits for a breaker may be answered yet."""
    causes = {entry.cause for entry in case.rejected}
    why = "; ".join(map(str, case.rejected[:6])) or "no model is here"
    what = f"found no model for this request ({why})"
    if "breaker" in causes:
        waits = [entry.retry_after_s for entry in case.rejected if entry.retry_after_s is not None]
        return Unavailable(f"{what}; try again later", code="model_unavailable", retry_after_s=min(waits, default=None))
    if "memory" in causes or "device" in causes:
        return Unavailable(f"{what}, expected a device that takes it", code="model_unavailable")
    too_long = _models(case, "window") - _models(case, "modality", "preference")
    if causes & {"modality", "preference"} and not too_long:
        return InvalidInput(
            f"{what}, expected {_content(case)}{_hint(case)}", param="messages", code="unsupported_content"
        )
    if "window" in causes:
        return InvalidInput(
            f"{what}, expected a shorter prompt{_hint(case)}", param="messages", code="context_length_exceeded"
        )
    missing = [entry.why for entry in case.rejected if entry.cause == "missing"]
    message = (
        missing[0] if missing else f"found no model for {case.wanted.task}, expected one in `models:`{_hint(case)}"
    )
    if "expected" not in message:
        here = [offer.name for offer in case.offers if offer.task == case.wanted.task and not offer.missing]
        message += f"; expected {', '.join(here) or f'a model for {case.wanted.task}'}"
    return ModelNotFound(message, param="model")


def _models(case: Case, *causes: str) -> set[str]:
    return {entry.model for entry in case.rejected if entry.cause in causes}


def _content(case: Case) -> str:
    if case.preferences.modality_routing == "force_multimodal":
        return "modality_routing auto, or such a model"
    return "text, or a model that takes the rest"


def _hint(case: Case) -> str:
    """Name what would help: a model that is here (where another was named), or the command that gets one."""
    helpful = wishes(case)
    return f"; {helpful[0].name} could: {helpful[0].command}" if helpful else ""
