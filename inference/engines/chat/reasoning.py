"""Models that think aloud: `<think>...</think>` before the answer."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.chat.stops import held_back

OPEN: Final = "<think>"
CLOSE: Final = "</think>"


def thinks(template: str) -> bool:
    """Whether a chat template is that of a model which thinks aloud."""
    return OPEN in template or CLOSE in template


class ReasoningSplitter:
    """Tells the reasoning from the answer. Only the beginning counts: later tags are text.

    opened: the prompt itself ended with `<think>`, so the model starts in the middle of its reasoning.
    """

    def __init__(self, *, enabled: bool, opened: bool = False) -> None:
        """Start before the answer; not `enabled`: all is answer."""
        self._state = ("thinking" if opened else "start") if enabled else "answer"
        self._held = ""
        self._trim = opened

    @property
    def thinking(self) -> bool:
        """Whether the model has not ended its reasoning."""
        return self._state == "thinking"

    def feed(self, text: str) -> tuple[str, str]:
        """Return (reasoning, answer) that can be shown now."""
        text, self._held = self._held + text, ""
        if self._state == "start":
            body = text.lstrip()
            if not body.startswith(OPEN):
                if OPEN.startswith(body):
                    self._held = text
                    return "", ""
                self._state = "answer"
                return "", text
            self._state, self._trim, text = "thinking", True, body[len(OPEN) :]
        if self._state == "answer":
            return "", self._trimmed(text)
        reasoning, closed, rest = text.partition(CLOSE)
        if closed:
            reasoning = self._trimmed(reasoning)
            self._state, self._trim = "answer", True
            return reasoning, self._trimmed(rest)
        keep = held_back(text, CLOSE)
        self._held = text[len(text) - keep :]
        return self._trimmed(text[: len(text) - keep]), ""

    def flush(self, *, cut: bool = False) -> tuple[str, str]:
        """Return (reasoning, answer) that was held back: the answer ended. cut: half a tag is no text then."""
        held, self._held = self._held, ""
        if cut:
            return "", ""
        return (held, "") if self.thinking else ("", held)

    def _trimmed(self, text: str) -> str:
        """Drop the line breaks that follow a tag."""
        if self._trim:
            text = text.lstrip("\n")
            self._trim = not text
        return text
