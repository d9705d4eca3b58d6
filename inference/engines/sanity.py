"""Is what a model gave an answer at all? Cheap checks of what is certainly none, while it comes.

What is caught, and when: an empty answer before anything is shown; garble from its first piece on, so that an answer
that begins with it is not shown; an endless repetition, and garble in the middle, only after much has been shown, since
an answer that is good so far is handed on at once. Repetition is one period over and over, exactly: text that counts,
or changes a word now and then, is a matter of taste, and stays.
"""

from __future__ import annotations

import re
from enum import StrEnum
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import Unavailable

_LOOK_EVERY: Final = 256
_KEPT: Final = 16_384
_PROBE: Final = 64
_ONE_CHARACTER: Final = 1_024
"""No text has a character so often in a row; logits that are not numbers choose one for ever."""
_LOOP: Final = 6_000
_PERIODS: Final = 8
_LONGEST_PERIOD: Final = (_KEPT - _LOOP) // _PERIODS
_GARBLE: Final = re.compile("[\0-\x06\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd\ufffe\uffff]")
"""What no text holds: control characters (but white space, bell, backspace and escape), broken encoding."""
_GARBLED: Final = 16
_GARBLE_SHARE: Final = 0.3
_MARKS: Final = 4


class Garbled(Unavailable):
    """An answer is no text."""


class Fault(StrEnum):
    """What is wrong with an answer."""

    EMPTY = "an empty answer"
    ENDLESS = "the same text over and over"
    GARBLE = "garble"


class TextCheck:
    """Looks at one answer's text as it grows. Each piece costs less than 1 us, every 256 characters 10 more."""

    __slots__ = ("_bad", "_kept", "_parts", "_seen", "_since", "fault")

    def __init__(self) -> None:
        """Begin with nothing. fault: what was found, for good."""
        self._parts: list[str] = []
        self._kept = ""
        self._since = 0
        self._seen = 0
        self._bad = 0
        self.fault: Fault | None = None

    @property
    def suspect(self) -> bool:
        """Whether all that came is garble, too little yet to be sure: it had better not be shown."""
        return 0 < self._seen == self._bad

    def feed(self, text: str) -> Fault | None:
        """Take a piece; return what is wrong with the answer, if anything is."""
        self._seen += len(text)
        if not text.isascii() or not text.isprintable():
            self._bad += len(_GARBLE.findall(text))
            if self._bad >= _GARBLED and self._bad >= self._seen * _GARBLE_SHARE:
                self.fault = Fault.GARBLE
        self._parts.append(text)
        self._since += len(text)
        if self._since >= _LOOK_EVERY:
            self._look()
        return self.fault

    def end(self) -> Fault | None:
        """Return what is wrong with the whole: also garble that was too short before, or that there is nothing."""
        if not self._seen:
            return Fault.EMPTY
        return Fault.GARBLE if self.suspect else self.fault

    def _look(self) -> None:
        self._kept = (self._kept + "".join(self._parts))[-_KEPT:]
        self._parts.clear()
        self._since = 0
        if endless(self._kept):
            self.fault = Fault.ENDLESS


def is_garbled_speech(text: str) -> bool:
    """Whether what was heard is no text: one mark over and over ("!!!!"), as networks of broken numbers write.

    Notes of music are none: Whisper writes them for songs.
    """
    marks = {character for character in text if not character.isspace()}
    return len(marks) == 1 and len(text) >= _MARKS and not (marks.pop().isalnum() or "♪" in text)


def endless(text: str) -> bool:
    """Whether the end of a text is one period over and over, so long that it will not end by itself.

    That is 1024 times the same character, else 6000 characters and eight periods more: two pages.
    """
    if len(text) < _ONE_CHARACTER:
        return False
    before = text.rfind(text[-_PROBE:], -_PROBE - _LONGEST_PERIOD, -1)
    if before < 0:
        return False
    period = len(text) - _PROBE - before
    run = _ONE_CHARACTER if period == 1 else _LOOP + _PERIODS * period
    return len(text) >= run and text[-run:-period] == text[-run + period :]


def check_vectors(vectors: NDArray[Any], model: str) -> None:
    """Raise Unavailable for numbers that are none: NaN or infinite."""
    flat = vectors.reshape(-1)
    if isfinite(np.vdot(flat, flat)):  # a sum of squares is finite where all are, unless they are huge
        return
    finite = np.isfinite(vectors)
    if not finite.all():
        raise Unavailable(
            f"{model} gave {finite.size - finite.sum()} of {finite.size} numbers NaN or infinite, expected none",
            retry_after_s=1.0,
        )
