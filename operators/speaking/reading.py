"""Makes of written text what can be read aloud: no Markdown, no pictures, addresses in words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_IMAGE_OR_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_LINE_MARKS: Final = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?)", re.MULTILINE)
_RULE: Final = re.compile(r"^[ \t]*(?:[-*_=|:][ \t]*){3,}$", re.MULTILINE)
_EMPHASIS: Final = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|~~|`{1,2})(?=\S)(.+?)(?<=\S)\1(?!\w)")
_ROW: Final = re.compile(r"[ \t]*\|[ \t]*")
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>")
_URL: Final = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]]", re.IGNORECASE)
_MAIL: Final = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_WRAPPED: Final = re.compile(r"(?<=\S)[ \t]*\n[ \t]*(?=[^\W\dA-Z_])")
_BLANKS: Final = re.compile(r"[ \t\f\v\u00a0]+")
_UNSPOKEN: Final = frozenset({"So", "Sk", "Cs", "Co", "Cn", "Cf"})
_SPOKEN_SYMBOLS: Final = frozenset("°©®™№℃℉")
_CURLY: Final = str.maketrans({"\r": "\n", "‘": "'", "’": "'", "“": '"', "”": '"', "\u2028": "\n", "\u2029": "\n"})


def spoken(text: str) -> str:
    """Return the text as it is read aloud. A line that ends within a sentence goes on with the next one."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").translate(_CURLY))
    text = _RULE.sub("", _FENCE.sub("", text))
    text = _IMAGE_OR_LINK.sub(r"\1", _TAG.sub(" ", text))
    text = _LINE_MARKS.sub("", _WRAPPED.sub(" ", text))
    for _ in range(2):  # **bold with *italics* in it**
        text = _EMPHASIS.sub(r"\2", text)
    text = "\n".join(_cells(line) for line in text.split("\n"))
    text = _MAIL.sub(lambda found: _address(found[0]), _URL.sub(lambda found: _url(found[0]), text))
    text = "".join(char if _is_spoken(char) else " " for char in text)
    return _BLANKS.sub(" ", text).strip()


def _cells(line: str) -> str:
    """Return a table's row as a list."""
    return _ROW.sub(", ", line.strip().strip("|").strip()) if line.count("|") > 1 else line


def _url(url: str) -> str:
    bare = re.sub(r"^https?://(?:www\.)?|^www\.", "", url, flags=re.IGNORECASE).split("?")[0].split("#")[0]
    return _address(bare.rstrip("/"))


def _address(text: str) -> str:
    words = {".": " dot ", "/": " slash ", "@": " at ", "_": " underscore ", "-": " dash "}
    return "".join(words.get(char, char) for char in text)


def _is_spoken(char: str) -> bool:
    if char == "\n" or char in _SPOKEN_SYMBOLS:
        return True
    kind = unicodedata.category(char)
    return kind not in _UNSPOKEN and kind != "Cc"
