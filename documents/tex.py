"""LaTeX before docling reads it: without what is switched off, and with what its reader would glue together apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_OFF: Final = re.compile(r"\\iffalse\b.*?\\fi\b|\\begin\{comment\}.*?\\end\{comment\}", re.DOTALL)
_SPANNING: Final = re.compile(r"\\multicolumn\s*\{\s*(\d{1,2})\s*\}\s*\{[^{}]*\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TIE: Final = re.compile(r"~(?=\\|\S)")
_INPUT: Final = re.compile(r"^[^%\n]*?\\(?:input|include|subfile)\s*\{([^}]*)\}", re.MULTILINE)
_VERBATIM: Final = re.compile(r"\\begin\{(verbatim|lstlisting|minted)\*?\}.*?\\end\{\1\*?\}", re.DOTALL)
LONGEST: Final = 500_000
"""Characters that docling's reader takes in some seconds; beyond, its time grows with their square."""


@dataclass(frozen=True, slots=True)
class TexText:
    """A text made plain, and the files that it reads in."""

    text: str
    included: tuple[str, ...] = ()


def tex_of(text: str) -> TexText:
    """Return LaTeX for docling's reader; listings stay as they are."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    included = tuple(dict.fromkeys(match[1].strip() for match in _INPUT.finditer(text)))
    parts: list[str] = []
    at = 0
    for match in _VERBATIM.finditer(text):
        parts += [_plain(text[at : match.start()]), match[0]]
        at = match.end()
    return TexText("".join([*parts, _plain(text[at:])]), included)


def words_of(text: str) -> str:
    """Return what is left of LaTeX without its commands: for files that are too long to be read in their structure."""
    text = re.sub(r"(?<!\\)%[^\n]*", "", _OFF.sub("", text))
    text = re.sub(
        r"\\(?:begin|end|label|ref|cite[pt]?|usepackage|documentclass|input|include)\*?(?:\[[^\]]*\])?\{[^}]*\}",
        "",
        text,
    )
    text = re.sub(r"\\(?:item|\\|[a-zA-Z]+\*?(?:\[[^\]]*\])?)", " ", text)
    return re.sub(r"[ \t]+", " ", re.sub(r"[{}~]", " ", text))


def _plain(text: str) -> str:
    text = _INPUT.sub(lambda match: match[0][: match[0].rindex("\\")], _OFF.sub("", text))
    text = _SPANNING.sub(lambda match: match[2] + " &" * (int(match[1]) - 1), text)
    return _TIE.sub(" ", text)
