"""Collects all problems of a configuration in file order, secrets hidden."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.plan import Place

_SHORTEST_REDACTED: Final = 4  # shorter secrets would blot out the message; the checks never print them anyway


@dataclass(slots=True)
class Problems:
    """Collects what is wrong (errors) and what is merely odd (warnings)."""

    _errors: dict[tuple[Place, str], None] = field(default_factory=dict)
    _warnings: dict[tuple[Place, str], None] = field(default_factory=dict)
    _closed: set[Place] = field(default_factory=set)
    _secrets: set[str] = field(default_factory=set)

    def add(self, place: Place, text: str) -> None:
        """Report an error once, however often an alias repeats it."""
        if place not in self._closed:
            self._errors[place, text] = None

    def close(self, place: Place, text: str) -> None:
        """Report an error and suppress later ones at the same place, which would be its consequences."""
        self.add(place, text)
        self._closed.add(place)

    def warn(self, place: Place, text: str) -> None:
        """Report a warning: the configuration works, but is probably a mistake."""
        self._warnings[place, text] = None

    def hide(self, secret: str) -> None:
        """Never print this text."""
        if len(secret) >= _SHORTEST_REDACTED:
            self._secrets.update((secret, repr(secret)[1:-1]))

    @property
    def errors(self) -> list[str]:
        """`file:line:column: text`, in file order."""
        return self._lines(self._errors)

    @property
    def warnings(self) -> list[str]:
        """`file:line:column: text`, in file order."""
        return self._lines(self._warnings)

    def check(self) -> None:
        """Raise ConfigError if there is any error."""
        if self._errors:
            raise ConfigError(self.errors)

    def _lines(self, found: Iterable[tuple[Place, str]]) -> list[str]:
        ordered = sorted(found, key=lambda problem: (problem[0].line, problem[0].column))
        return [self._redact(f"{place}: {text}") for place, text in ordered]

    def _redact(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
