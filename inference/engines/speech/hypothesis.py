"""What a pass takes a sound to say, token by token: one row of a batch, with no network in it.

Theory of operation. A pass over an utterance that was heard before, shorter by a second, is given the tokens of the
last pass as a draft: one call computes the logits of all of them, and those that would have been chosen anyway are
kept. From the first that differs the decoder goes on by itself. The words are those of a pass without a draft, for the
price of the new ones (speculative decoding, Leviathan et al. 2023, with the past as the small model), but for near
ties, which rounding decides, and for times, of which a draft's stand where the pass would have put them nearly there.

    [start] -> language known -> [language, task, draft...] -> accepted tokens -> one by one -> end
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.engine import RATE_HZ
from fastembed.inference.engines.speech.rules import TokenRules
from fastembed.inference.engines.speech.vocabulary import TICK_S, SpeechVocabulary

_TOKENS_A_SECOND: Final = 8
_TOKENS_MORE: Final = 16
_NEAR: Final = 4  # tokens behind a difference in which a draft and what is heard may meet again
_WORTH_A_CALL: Final = 6  # tokens: checking a draft costs as much as choosing that many one by one
_SAME_TIME: Final = round(0.3 / TICK_S)  # ticks: Whisper's times are no better


@dataclass(frozen=True, slots=True)
class Sound:
    """What to hear: float32 [n] at 16 kHz, levelled, no longer than a window.

    draft: tokens that an earlier pass over the same sound gave. before: the tokens of a prompt. careful: what is
    uncertain, or goes on in a loop, is heard once more in the full window. left: set when nobody waits any more.
    """

    samples: NDArray[np.float32]
    language: str | None = None
    task: str = "transcribe"
    before: tuple[int, ...] = ()
    draft: tuple[int, ...] = ()
    careful: bool = False
    left: threading.Event | None = None

    @property
    def length_s(self) -> float:
        """Seconds of sound."""
        return len(self.samples) / RATE_HZ

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.left is not None and self.left.is_set()


class Hypothesis:
    """The tokens of one sound so far, under the rules of Whisper's timestamps."""

    def __init__(self, sound: Sound, vocabulary: SpeechVocabulary, window_s: float, *, alone: bool) -> None:
        """Begin. alone: no other sound waits while a draft is checked again."""
        self.sound = sound
        self.language = sound.language
        self.no_speech = 0.0
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.queries: list[NDArray[np.float32]] = []
        self.accepted = 0
        self.over = False
        self._words = vocabulary
        self._alone = alone
        self._rules = TokenRules(vocabulary, window_s)
        self._draft = list(sound.draft)
        more = _TOKENS_MORE if sound.careful else _TOKENS_MORE // 2
        limit = more + int(_TOKENS_A_SECOND * sound.length_s)
        self._limit = min(limit, vocabulary.longest - len(sound.before) - 4)

    @property
    def head(self) -> list[int]:
        """What comes before the language: the prompt and the start."""
        return [*self.sound.before, self._words.start]

    @property
    def ended(self) -> bool:
        """Whether the text ended by itself."""
        return bool(self.tokens) and self.tokens[-1] == self._words.end

    def opening(self) -> list[int]:
        """Return the language and the task."""
        return self._words.opening(self.language, self.sound.task)

    def detect(self, row: NDArray[np.float32]) -> None:
        """Take the logits behind the start: is there speech, and in which language."""
        self.no_speech = _share(row, self._words.no_speech)
        if self.language is None and self._words.languages:
            names = list(self._words.languages)
            self.language = names[int(row[list(self._words.languages.values())].argmax())]

    def next(self) -> list[int]:
        """Return the tokens to be fed: the newest, if there is one, and the draft behind it."""
        return [*self.tokens[-1:], *self._draft]

    def take(self, logits: NDArray[np.float32], queries: NDArray[np.float32] | None) -> int:
        """Take the logits behind each of the tokens that may be followed, the draft's at the end.

        Return how many of the fed tokens are to be taken back.
        """
        draft, self._draft = self._draft, []
        place = 0
        for place, row in enumerate(logits):
            drafted = draft[place] if place < len(draft) else None
            self._add(row, drafted)
            if queries is not None:
                self.queries.append(queries[:, place])
            if self.tokens[-1] != drafted:
                break
        self.accepted += place
        if self.ended or len(self.tokens) >= self._limit or self.sound.abandoned:
            self.over = True
        elif place < len(draft) and self._alone:
            self._draft = self._behind(draft[place:], place)
        return len(draft) - place

    def _add(self, row: NDArray[np.float32], drafted: int | None) -> None:
        """Choose a token, the drafted one if it is a time near the best."""
        token, logprob = self._rules.choose(row.copy(), self.tokens, drafted, _SAME_TIME)
        self.tokens.append(token)
        self.logprobs.append(logprob)

    def _behind(self, draft: Sequence[int], stood: int) -> list[int]:
        """Return what of a draft may still follow a token that was chosen in the place of its first."""
        chosen = self.tokens[-1]
        retimed = min(chosen, draft[0]) >= self._words.first_time
        if stood < _NEAR and not retimed:
            return []  # it leads nowhere
        near = list(draft[:_NEAR])
        rest = list(draft[near.index(chosen) + 1 if chosen in near else 1 :])
        return rest if len(rest) >= _WORTH_A_CALL else []


def _share(row: NDArray[np.float32], token: int) -> float:
    """Return the probability of one token."""
    shifted = np.exp(row - row.max())
    return float(shifted[token] / shifted.sum())
