"""Calls that a model was made to write, and writes again.

Where tools must be called, the grammar lets a model end behind the first call or begin another. Small models repeat the
first one until their limit. So each call but the first is held back until it is whole, and one that was made already
ends the answer.
"""

from __future__ import annotations

import json

from fastembed.pipeline.payload.chat import ChatDelta


class RepeatedCalls:
    """An answer's deltas in, those out that say something new. found: a call was repeated, the answer is over."""

    def __init__(self) -> None:
        """Start before the first call."""
        self.found = False
        self._made: set[str] = set()
        self._name = ""
        self._arguments = ""
        self._held: list[ChatDelta] = []

    def feed(self, delta: ChatDelta) -> list[ChatDelta]:
        """Return what can be shown now."""
        if self.found:
            return []
        if delta.tool_index is None:
            return [*self.close(), delta]
        shown: list[ChatDelta] = []
        if delta.tool_name is not None:
            shown = self.close()
            self._name, self._arguments = delta.tool_name, ""
        self._arguments += delta.tool_arguments
        if delta.tool_index == 0:
            self._note()
            return [*shown, delta]
        self._held.append(delta)
        call = self._whole()
        if call is None:
            return shown
        if call in self._made:
            self.found, self._held = True, []
            return shown
        self._note()
        return shown + self.close()

    def close(self) -> list[ChatDelta]:
        """Return what is held back, whole or not: nothing more of it comes."""
        held, self._held = self._held, []
        return held

    def _note(self) -> None:
        if (call := self._whole()) is not None:
            self._made.add(call)

    def _whole(self) -> str | None:
        """Return the call in one form, whatever its white space and order of keys; None while it is not whole."""
        try:
            return json.dumps([self._name, json.loads(self._arguments)], sort_keys=True)
        except ValueError:
            return None
