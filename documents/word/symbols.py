"""Characters of symbol fonts as Unicode: Symbol (Adobe's encoding), Wingdings and Wingdings 2 (the ones in use)."""

from __future__ import annotations

import sys
from typing import Final

_UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
_PRIVATE: Final = range(0xF020, 0xF100)
"""Where Word keeps characters of symbol fonts: 0xF000 and the font's own code."""

_SYMBOL: Final = dict(
    zip(
        (*range(0x20, 0x7F), *range(0xA1, 0xF0), *range(0xF1, 0xFF)),
        (
            " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"
            "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪"
            "〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭"
        ),
        strict=True,
    )
)
_WINGDINGS: Final = {
    0x20: " ", 0x21: "🖉", 0x22: "✂", 0x28: "🕿", 0x29: "✆", 0x2A: "🖂", 0x36: "⌛", 0x3A: "🖥", 0x3E: "✇", 0x3F: "✍",
    0x45: "☜", 0x46: "☞", 0x47: "☝", 0x48: "☟", 0x4A: "☺", 0x4B: "😐", 0x4C: "☹", 0x4E: "☠", 0x51: "✈", 0x52: "☼",
    0x54: "❄", 0x58: "✠", 0x59: "✡", 0x5A: "☪", 0x6C: "●", 0x6D: "❍", 0x6E: "■", 0x6F: "□", 0x70: "❐", 0x71: "❑",
    0x72: "❒", 0x73: "⬧", 0x74: "⧫", 0x75: "◆", 0x76: "❖", 0x77: "⬥", 0x78: "⌧", 0x7A: "⌘", 0x80: "⓪",
    **{0x81 + number: chr(0x2460 + number) for number in range(10)},
    0x8B: "⓿",
    **{0x8C + number: chr(0x2776 + number) for number in range(10)},
    0x9E: "·", 0x9F: "•", 0xA0: "▪", 0xA1: "○", 0xA4: "◉", 0xA5: "◎", 0xA7: "▪", 0xA8: "◻", 0xAA: "✦", 0xAB: "★",
    0xAC: "✶", 0xAD: "✴", 0xAE: "✹", 0xD5: "⌫", 0xD6: "⌦", 0xD8: "➢", 0xDC: "➲", 0xDF: "←", 0xE0: "→", 0xE1: "↑",
    0xE2: "↓", 0xE3: "↖", 0xE4: "↗", 0xE5: "↙", 0xE6: "↘", 0xE7: "←", 0xE8: "➔", 0xE9: "↑", 0xEA: "↓", 0xEF: "⇦",
    0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩", 0xF3: "⬄", 0xF4: "⇳", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip
_WINGDINGS_2: Final = {
    0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0x55: "⮾", 0x56: "⮿", 0x96: "●", 0x97: "●",
    0xA2: "■", 0xA3: "□", 0x2A: "☐", 0x30: "□",
}  # fmt: skip
_FONTS: Final[dict[str, dict[int, str]]] = {"symbol": _SYMBOL, "wingdings": _WINGDINGS, "wingdings 2": _WINGDINGS_2}


def character(font: str, code: int) -> str:
    """Return the character that a font shows for a code; U+FFFD for a shape that has no name here."""
    table = _FONTS.get(font.lower())
    if table is not None:
        return table.get(code & 0xFF if code >= _PRIVATE.start else code, _UNKNOWN)
    return chr(code) if code <= sys.maxunicode and chr(code).isprintable() else _UNKNOWN


def readable(text: str, font: str) -> str:
    """Return a text in which symbol fonts' own codes are Unicode."""
    if not any(ord(letter) in _PRIVATE for letter in text):
        return text
    return "".join(character(font, ord(letter)) if ord(letter) in _PRIVATE else letter for letter in text)
