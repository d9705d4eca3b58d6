"""What Outlook wraps mails in: compressed RTF (MS-OXRTFCP), and HTML within RTF (MS-OXRTFEX)."""

from __future__ import annotations

import struct
from typing import Final

from fastembed.documents.rtf.tokens import SPECIAL, codec_of, codec_of_page, tokens
from fastembed.pipeline.errors import Unprocessable

_START: Final = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans "
    rb"SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_WINDOW: Final = 4096
_LARGEST: Final = 64 << 20
_SKIPPED: Final = frozenset({"fonttbl", "colortbl", "stylesheet", "info", "generator", "pntext", "listtext", "pict"})


def decompressed(content: bytes) -> bytes:
    """Return RTF that is compressed as MAPI does it. Unprocessable: it is damaged."""
    if len(content) < 16:  # noqa: PLR2004 - its head
        raise Unprocessable("found compressed text that is cut off, expected a complete one", code="corrupt")
    _, size, kind, _ = struct.unpack_from("<IIII", content)
    if kind == 0x414C454D:  # noqa: PLR2004 - MELA: it is not compressed
        return content[16:]
    return _unpacked(content, min(size, _LARGEST))


def _unpacked(content: bytes, most: int) -> bytes:
    """Return what the runs of compressed text stand for: literal bytes, and copies of what came before."""
    window = bytearray(_START.ljust(_WINDOW, b" "))
    write, at = len(_START), 16
    out = bytearray()
    while at < len(content) and len(out) < most:
        flags, at = content[at], at + 1
        for bit in range(8):
            if not flags >> bit & 1:
                run, at = bytearray(content[at : at + 1]), at + 1
            else:
                token, at = int.from_bytes(content[at : at + 2], "big"), at + 2
                offset, length = token >> 4, (token & 15) + 2
                if offset == write:  # the end
                    return bytes(out)
                run = bytearray()
                for step in range(length):  # what it copies may be what it has just written
                    run.append(window[(offset + step) % _WINDOW])
                    window[(write + step) % _WINDOW] = run[-1]
            for step, byte in enumerate(run):
                window[(write + step) % _WINDOW] = byte
            write = (write + len(run)) % _WINDOW
            out += run
    return bytes(out[:most])


def html_of_rtf(content: bytes) -> str:
    """Return the HTML that RTF carries (`fromhtml1`); "" if it carries none."""
    if b"\\fromhtml1" not in content[:2048]:
        return ""
    return _HtmlWithin().read(content)


class _HtmlWithin:
    """Follows RTF and takes what is HTML: the text of `htmltag` groups as it is, other text unless `htmlrtf` is on."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._groups: list[tuple[bool, bool, str | None, int]] = [(False, False, None, 1)]  # skip, rtf only, codec, uc
        self._page = "cp1252"
        self._fonts: dict[int, str | None] = {}
        self._font = 0
        self._in_fonts = 0
        self._bytes = bytearray()
        self._skip = 0
        self._starred = False

    def read(self, content: bytes) -> str:
        """Return the page."""
        for token in tokens(content):
            if token.kind in "tx" or (token.kind == "s" and token.word in "{}\\"):
                self._data(token.data or token.word.encode())
                continue
            self._flush()
            if token.kind == "{":
                self._groups.append(self._groups[-1])
                self._starred, self._skip = False, 0
            elif token.kind == "}":
                if len(self._groups) > 1:
                    self._groups.pop()
                if self._in_fonts > len(self._groups):
                    self._in_fonts = 0
            else:
                self._word(token.word, token.number)
        self._flush()
        return "".join(self._out)

    def _data(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        skip, rtf_only, _, _ = self._groups[-1]
        if not skip and not rtf_only:
            self._bytes += data[skipped:]

    def _flush(self) -> None:
        if self._bytes:
            self._out.append(bytes(self._bytes).decode(self._groups[-1][2] or self._page, "replace"))
            self._bytes.clear()

    def _word(self, word: str, number: int | None) -> None:
        skip, rtf_only, codec, count = self._groups[-1]
        starred, self._starred = self._starred, word == "*"
        if word == "htmlrtf":
            rtf_only = number != 0
        elif word == "ansicpg":
            self._page = codec_of_page(number)
        elif word == "fonttbl":
            self._in_fonts = len(self._groups)
            skip = True
        elif word == "fcharset" and self._in_fonts:
            self._fonts[self._font] = codec_of(number or 0)
        elif word == "f":
            self._font = number or 0
            codec = None if self._in_fonts else self._fonts.get(self._font)
        elif word == "uc":
            count = max(number or 0, 0)
        elif word in _SKIPPED or (starred and word != "htmltag"):
            skip = True
        elif not skip and not rtf_only:
            self._say(word, number, count)
        self._groups[-1] = (skip, rtf_only, codec, count)

    def _say(self, word: str, number: int | None, count: int) -> None:
        if word == "u":
            self._out.append(chr((number or 0) & 0xFFFF))
            self._skip = count
        elif word in ("par", "line"):
            self._out.append("\r\n")
        elif word in SPECIAL:
            self._out.append("&nbsp;" if word == "~" else SPECIAL[word])
