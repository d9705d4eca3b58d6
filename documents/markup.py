"""Markdown and HTML before docling reads them: as UTF-8, with what its readers lose or stumble over put right."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from fastembed.documents.encodings import DecodedText, decode

_FRONT_MATTER: Final = re.compile(r"\ufeff?---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_TASK: Final = re.compile(r"^([ \t>]*(?:[-*+]|\d+[.)])[ \t]+)\[([ xX])\](?=[ \t])", re.MULTILINE)
_CHARSET: Final = re.compile(
    rb"""<meta\b[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml\b[^>]*?encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE
)
_BOXES: Final = {"x": "\ue1f1", " ": "\ue1f0"}
_HEAD_BYTES: Final = 4096
_MOST_FRONT_MATTER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class MarkdownText:
    """A Markdown text without its front matter, and what that says."""

    text: str
    metadata: dict[str, str] = field(default_factory=dict)


def markdown_of(text: str) -> MarkdownText:
    """Return a Markdown text with its front matter (YAML between lines of three dashes) apart.

    The boxes of task lists, which docling drops, are characters for private use until `with_ticks`.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    metadata: dict[str, str] = {}
    match = _FRONT_MATTER.match(text)
    if match and len(match[1]) <= _MOST_FRONT_MATTER and (found := _yaml(match[1])) is not None:
        metadata = {str(name): _shown(value) for name, value in found.items()}
        text = text[match.end() :]
    return MarkdownText(_TASK.sub(lambda task: task[1] + _BOXES[task[2].lower()], text), metadata)


def with_ticks(text: str) -> str:
    """Return a text of docling's in which the boxes of task lists are as in Markdown again."""
    for tick, box in _BOXES.items():
        text = text.replace(box, f"[{tick}]")
    return text


def html_of(content: bytes) -> tuple[bytes, str]:
    """Return a page as UTF-8 that says so, and a remark on its encoding, "" if nothing needs one."""
    declared = _CHARSET.search(content, 0, _HEAD_BYTES)
    found = _declared_text(content, declared) or decode(content)
    encoded = found.text.removeprefix("\ufeff").encode("utf-8", "replace")
    again = _CHARSET.search(encoded, 0, _HEAD_BYTES)
    if again is not None:
        start, end = again.span(1 if again[1] else 2)
        encoded = encoded[:start] + b"utf-8" + encoded[end:]
    return b"\xef\xbb\xbf" + encoded, found.remark


def _declared_text(content: bytes, declared: re.Match[bytes] | None) -> DecodedText | None:
    """Return the text in the encoding that a page declares, None if it declares none that fits it."""
    if declared is None or content.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return None
    name = (declared[1] or declared[2]).decode("ascii", "replace")
    try:
        return DecodedText(content.decode({"iso-8859-1": "cp1252"}.get(name.lower(), name)), name)
    except (LookupError, UnicodeDecodeError):
        return None


def _yaml(text: str) -> dict[Any, Any] | None:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else None


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(part)}" for name, part in value.items())
    return "" if value is None else str(value)
