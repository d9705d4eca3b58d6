"""Rich Text Format: its tokens and its character sets (RTF 1.9.1)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    rb"\\([a-zA-Z]{1,40})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)
_CHARSETS: Final = {
    0: "cp1252",
    2: "cp1252",
    77: "mac-roman",
    78: "shift_jis",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
SPECIAL: Final = {
    "tab": "\t",
    "line": "\n",
    "emdash": "—",
    "endash": "–",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "zwj": "\u200d",
    "zwnj": "\u200c",
    "ltrmark": "\u200e",
    "rtlmark": "\u200f",
    "~": "\u00a0",
    "_": "\u2011",
    "-": "",
    "|": "",
    ":": ":",
}


class RtfToken(NamedTuple):
    """A control word or symbol with its number, a byte in hex, a brace, or text. kind: w, s, x, { or }, t."""

    kind: str
    word: str = ""
    number: int | None = None
    data: bytes = b""


def tokens(content: bytes) -> Iterator[RtfToken]:
    """Yield the tokens of a file; line ends mean nothing, bytes that stand as they are are left out."""
    at = 0
    while match := _TOKEN.match(content, at):
        at = match.end()
        word, number, code, symbol, brace, text = match.groups()
        if text is not None:
            yield RtfToken("t", data=text)
        elif word is not None:
            name, value = word.decode(), None if number is None else int(number)
            if name == "bin":
                at += max(value or 0, 0)
            else:
                yield RtfToken("w", name, value)
        elif code is not None:
            yield RtfToken("x", data=bytes([int(code, 16)]))
        elif brace is not None:
            yield RtfToken(brace.decode())
        elif symbol is not None:
            yield RtfToken("w", "par") if symbol in b"\r\n" else RtfToken("s", symbol.decode("latin-1"))


def codec_of(charset: int) -> str | None:
    """Return the encoding of a font's character set; None: the file's own."""
    return None if charset == 1 else _CHARSETS.get(charset)


def codec_of_page(page: int | None) -> str:
    """Return the encoding of a code page; Windows' western one where it is unknown."""
    name = {65001: "utf-8", 10000: "mac-roman", 708: "cp864", 709: "cp864", 0: "cp1252"}.get(page or 0, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"


def joined(text: str) -> str:
    """Return text in which pairs of surrogates, as RTF writes them, are characters."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
