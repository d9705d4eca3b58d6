"""AsciiDoc before docling reads it: attributes, links, notes and words of pictures, which its reader leaves raw."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_ATTRIBUTE: Final = re.compile(r"^:([\w-]+):[ \t]*(.*)$")
_REFERENCE: Final = re.compile(r"\{([\w-]+)\}")
_LINK: Final = re.compile(r"(?:link:|(?=https?://|mailto:))([^\s\[\]]+)\[([^\]]*)\]")
_NOTE: Final = re.compile(r"footnote(?:ref)?:[\w-]*\[((?:[^\[\]]|\[[^\]]*\])*)\]")
_PICTURE: Final = re.compile(r"^image::?([^\s\[]+)\[([^\]]*)\][ \t]*$")
_INCLUDE: Final = re.compile(r"^include::([^\[]+)\[")
_TERM: Final = re.compile(r"^(\S[^\n]*?):{2,4}[ \t]+(\S.*)$")
_ANCHOR: Final = re.compile(r"\[\[[^\]]*\]\]|^\[#[^\]]*\]$")
_CROSS: Final = re.compile(r"<<[^,>]*,?([^>]*)>>")
_AUTHOR: Final = re.compile(r"^([^<>\n:]+?)(?:\s+<([^>]+)>)?$")
_FENCE: Final = re.compile(r"^(?:-{4,}|\.{4,}|\+{4,}|/{4,}|```\w*)$")


@dataclass(frozen=True, slots=True)
class AsciiText:
    """A text made plain, what its head says, and the files that it wants included."""

    text: str
    metadata: dict[str, str] = field(default_factory=dict)
    included: tuple[str, ...] = ()


def asciidoc_of(text: str) -> AsciiText:
    """Return AsciiDoc with attributes filled in; links are their words, notes stand at the end of their paragraph."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    attributes: dict[str, str] = {}
    metadata, lines = _head(lines)
    out: list[str] = []
    included: list[str] = []
    fence = ""
    for line in lines:
        stripped = line.strip()
        if _FENCE.match(stripped):
            fence = "" if stripped == fence else fence or stripped
            out += [] if stripped.startswith("/") else [line]
        elif fence:
            out += [] if fence.startswith("/") else [line]  # a comment
        elif match := _ATTRIBUTE.match(line):
            attributes[match[1].lower()] = match[2].strip()
        elif match := _INCLUDE.match(line):
            included.append(match[1])
        else:
            out.append(_plain(line, attributes))
    metadata |= {name: attributes[name] for name in ("author", "description", "keywords") if attributes.get(name)}
    return AsciiText("\n".join(out), metadata, tuple(included))


def _head(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return what the lines below the title say (author, revision), and the lines without them."""
    start = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith((":", "//"))), None)
    if start is None or not lines[start].startswith("= "):
        return {}, lines
    end = start + 1
    said: list[str] = []
    while end < len(lines) and lines[end].strip() and not lines[end].startswith((":", "=")):
        said.append(lines[end].strip())
        end += 1
    metadata: dict[str, str] = {}
    if said and (match := _AUTHOR.match(said[0])):
        metadata["author"] = match[1].strip()
    if len(said) > 1:
        metadata["revision"] = said[1]
    if not said or "author" not in metadata:
        return {}, lines
    return metadata, [*lines[: start + 1], "", *lines[end:]]


def _plain(line: str, attributes: dict[str, str]) -> str:
    line = _REFERENCE.sub(lambda match: attributes.get(match[1].lower(), match[0]), line)
    notes = [match[1] for match in _NOTE.finditer(line)]
    line = _NOTE.sub("", line)
    line = _LINK.sub(lambda match: match[2].split(",")[0].strip('"^ ') or match[1], line)
    line = _CROSS.sub(lambda match: match[1].strip() or match[0].strip("<>"), line)
    if match := _PICTURE.match(line):
        return match[2].split(",")[0].strip('" ')
    if match := _TERM.match(line):
        line = f"{match[1]}: {match[2]}"
    line = _ANCHOR.sub("", line)
    return line + "".join(f" ({note})" for note in notes)
