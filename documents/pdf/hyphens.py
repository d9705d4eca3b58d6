"""Joining lines: which hyphen at a line's end belongs to the word, and which one only to the line."""

import re
from collections.abc import Iterable, Sequence

_TAIL = re.compile(r"(\w[\w'’-]*)[-‐\u00ad]$")
_FRONT = re.compile(r"^(\w[\w'’]*(?:-\w+)*)")
_WORD = re.compile(r"\w[\w'’-]*\w|\w")
_COMPOUND = {"well", "self", "half", "cross", "all", "quasi", "so"}
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef]")


class Vocabulary:
    """The words that a document writes inside its lines, which tell how to join those that its line ends break."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._words: set[str] = set()
        for line in lines:
            words = _WORD.findall(line.casefold())
            self._words.update(words[:-1] if line.endswith(("-", "‐")) else words)

    def joined(self, lines: Sequence[str]) -> str:
        """Return the lines as running text."""
        text = lines[0].rstrip() if lines else ""
        for line in lines[1:]:
            text = self._join(text, line.strip())
        return text

    def _join(self, text: str, line: str) -> str:
        if not text or not line:
            return text or line
        tail = _TAIL.search(text)
        if tail is None:
            both_wide = _WIDE.match(text[-1]) and _WIDE.match(line[0])
            return text + line if both_wide else f"{text} {line}"
        front = _FRONT.match(line)
        if front is None:
            return f"{text} {line}"
        if self._keeps_hyphen(tail[1].casefold(), front[1]):
            return text + line
        return text[:-1] + line

    def _keeps_hyphen(self, left: str, right: str) -> bool:
        if not right[0].islower() or not left[-1].isalpha():
            return True
        right = right.casefold()
        whole, hyphenated = left + right, f"{left}-{right}"
        if whole in self._words:
            return False
        if hyphenated in self._words:
            return True
        return "-" in left or left in _COMPOUND
