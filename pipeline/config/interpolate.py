"""`${VAR}`, `${VAR:-x}` and `${file:/run/secrets/key}` in scalars; `$${` stands for a literal `${`.

What comes from a file, or from a variable whose name says so (`API_KEY`, `HF_TOKEN`, `DB_PASSWORD`), is a secret: it
stays text, prints as `***`, and only its reference enters the definition hash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET_NAME: Final = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
_MAX_SECRET_BYTES: Final = 65_536


class Secret(str):
    """Text that must not be printed: its repr is `'***'`. reference: what the file says instead of it."""

    reference: str

    __slots__ = ("reference",)

    def __new__(cls, text: str, reference: str = "") -> Self:
        """Keep `text` together with its reference."""
        secret = super().__new__(cls, text)
        secret.reference = reference
        return secret

    def __repr__(self) -> str:
        return "'***'"


class InterpolationError(ValueError):
    """A reference that cannot be replaced; the message says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Interpolator:
    """Replaces references. environ: the variables. base: the folder that secret files are relative to."""

    environ: Mapping[str, str]
    base: Path

    def __call__(self, text: str) -> str:
        """Return `text` with its references replaced, as a `Secret` if one of them is. Raises InterpolationError."""
        if "${" not in text:
            return text
        parts: list[str] = []
        end = 0
        for match in _REFERENCE.finditer(text):
            parts += [text[end : match.start()], self._replace(match)]
            end = match.end()
        parts.append(text[end:])
        joined = "".join(parts)
        return Secret(joined, text) if any(isinstance(part, Secret) for part in parts) else joined

    def _replace(self, match: re.Match[str]) -> str:
        reference = match[0]
        if reference == "$${":
            return "${"
        name: str = match[1]
        if not reference.endswith("}"):
            msg = f"found {reference!r} without its closing brace, expected ${{VAR}}; write $${{ for a literal ${{"
            raise InterpolationError(msg)
        if name.startswith("file:"):
            return Secret(self._read(name.removeprefix("file:")), reference)
        if not (variable := _VARIABLE.fullmatch(name)):
            msg = (
                f"found {reference!r}, expected ${{VAR}}, ${{VAR:-default}} or ${{file:path}}; "
                "write $${ for a literal ${"
            )
            raise InterpolationError(msg)
        return self._variable(variable[1], variable[2], reference)

    def _variable(self, name: str, default: str | None, reference: str) -> str:
        value = self.environ.get(name)
        if default is not None and not value:
            return default
        if value is None:
            msg = f"found no environment variable {name}, expected it for {reference}; ${{{name}:-x}} gives a default"
            raise InterpolationError(msg)
        return Secret(value, reference) if _SECRET_NAME.search(name) else value

    def _read(self, name: str) -> str:
        path = self.base / Path(name).expanduser()
        try:
            if path.stat().st_size > _MAX_SECRET_BYTES:
                msg = f"found more than {_MAX_SECRET_BYTES} bytes in {name}, expected a secret"
                raise InterpolationError(msg)
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            msg = f"found bytes that are not UTF-8 in {name}, expected a secret as text"
            raise InterpolationError(msg) from None  # the cause would print the bytes
        except OSError as error:
            reason = error.strerror or type(error).__name__
            msg = f"found no readable file {name} ({reason}), expected a file that holds the secret"
            raise InterpolationError(msg) from error
