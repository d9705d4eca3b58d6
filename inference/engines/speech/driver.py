"""Whisper on plain OpenVINO: windows as long as their sound, drafts checked at once, loops told and mended.

Theory of operation. A pass takes up to 30 s of sound with 2 s of silence behind it, encodes just that (`graph`), and
decodes greedily under the timestamp rules (`rules`). What costs most is the decoder, 4 to 6 ms a token. So a pass over
an utterance that was heard before, shorter by a second, is given the tokens of the last pass as a draft: one call
computes the logits of all of them, and those that would have been chosen anyway are kept. From the first that differs
the decoder goes on by itself. The words are those of a pass without a draft, for the price of the new ones (speculative
decoding, Leviathan et al. 2023, with the past as the small model), but for near ties, which rounding decides.

    sound -> level -> log-mel -> encoder -> [start, language, task, draft...] -> accepted tokens -> one by one -> end

What does not end by itself, within 8 tokens a second of sound, is a loop: it is heard again in the full window, and if
it loops there too, its repetitions are cut. No words: where the first token's logits say that there is no speech.

One runner is one sequence of calls from one thread; runners share the compiled networks and nothing else. The decoder
is compiled in f32: where the CPU has bf16, its rounding costs words, and f32 is no slower at one token a step.
"""

from __future__ import annotations

import json
import math
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.alignment import token_times
from fastembed.inference.engines.speech.engine import RATE_HZ, SpokenWord
from fastembed.inference.engines.speech.features import HOP, log_mel
from fastembed.inference.engines.speech.rules import TokenRules
from fastembed.inference.engines.speech.vocabulary import TICK_S, SpeechVocabulary

SILENCE_S: Final = 2.0
"""Behind the sound; with 1.5 s Whisper begins to go on in loops, with 0.5 s every second text does."""
_STEP_FRAMES: Final = 100
"""Windows are whole seconds: OpenVINO prepares kernels for every new length, at the price of 3 s of sound."""
_SHORTEST_WINDOW_S: Final = 10.0  # of models: one that was trained on less knows no other length than its own
_TOKENS_A_SECOND: Final = 8
_TOKENS_MORE: Final = 16
_WITHOUT_SPEECH: Final = ((0.6, -0.92), (0.4, -1.5))
"""There is no speech where no_speech is above the one and the average log probability below the other. Measured: speech
0.46 and -0.90, 0.56 and -0.85 at worst; silence 0.93 and -0.98, noise 0.73 and -1.86, a chord 0.56 and -1.91."""
_UNCERTAIN: Final = -0.6  # average log probability: below, the full window often hears better
_REPETITIVE: Final = 2.4  # compression ratio, OpenAI's
_NEAR: Final = 4  # tokens behind a difference in which a draft and what is heard may meet again
_WORTH_A_CALL: Final = 6  # tokens: checking a draft costs as much as choosing that many one by one
_FRAMES_S: Final = RATE_HZ // HOP


@dataclass(frozen=True, slots=True)
class Sound:
    """What to hear: float32 [n] at 16 kHz, levelled, no longer than a window.

    draft: tokens that an earlier pass over the same sound gave. before: the tokens of a prompt. careful: what is
    uncertain, or goes on in a loop, is heard once more in the full window.
    """

    samples: NDArray[np.float32]
    language: str | None = None
    task: str = "transcribe"
    before: tuple[int, ...] = ()
    draft: tuple[int, ...] = ()
    careful: bool = False

    @property
    def length_s(self) -> float:
        """Seconds of sound."""
        return len(self.samples) / RATE_HZ


@dataclass(frozen=True, slots=True)
class Said:
    """What one pass heard.

    tokens: with their timestamps; logprobs: how likely each was, and the end. accepted: how many of the draft's stood.
    """

    tokens: tuple[int, ...]
    language: str | None
    no_speech: float
    logprobs: tuple[float, ...] = ()
    ended: bool = True
    accepted: int = 0

    @property
    def logprob(self) -> float:
        """The average log probability of its tokens, the end included."""
        return sum(self.logprobs) / max(1, len(self.logprobs))


class Interrupted(Exception):
    """A pass left off before its end."""


class Networks:
    """The compiled encoder and decoder of one folder. RuntimeError, as OpenVINO raises it: not such a Whisper."""

    def __init__(
        self, folder: Path, properties: dict[str, Any], vocabulary: SpeechVocabulary, heads: Sequence[Any]
    ) -> None:
        """Read, edit, compile: some seconds."""
        import openvino as ov

        from fastembed.inference.engines.speech.graph import add_alignment, any_length, move_projections

        core = ov.Core()
        encoder = core.read_model(folder / "openvino_encoder_model.xml")
        decoder = core.read_model(folder / "openvino_decoder_model.xml")
        self.positions = any_length(encoder)
        encoder = move_projections(encoder, decoder)
        self.aligned = add_alignment(decoder, heads) if heads else []
        self.mels = _mels(folder)
        self.vocabulary = vocabulary
        self.encoder: Any = core.compile_model(encoder, "CPU", properties)
        self.decoder: Any = core.compile_model(decoder, "CPU", {**properties, "INFERENCE_PRECISION_HINT": "f32"})

    @property
    def window_s(self) -> float:
        """The longest sound of a pass, with its silence."""
        return self.positions * TICK_S


class Runner:
    """One pass at a time over the shared networks."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._words = networks.vocabulary
        self._encode: Any = networks.encoder.create_infer_request()
        self._decode: Any = networks.decoder.create_infer_request()
        self._decode.set_tensor("beam_idx", _tensor(np.zeros(1, np.int32)))
        self._left = threading.Event()

    def hear(self, sound: Sound, left: threading.Event) -> Said:
        """Write down a sound, in a full window if it does not end in its own. Interrupted: `left` was set meanwhile."""
        self._left = left
        frames = self._window(sound.length_s)
        # Twice at most. The second pass has no draft, which may have led into the loop, and the window that the model
        # was trained on; a language that was told apart in the first is kept, since noise behind the words may change
        # it.
        said = self._pass(sound, frames)
        if sound.careful and frames < self._full and (self._doubtful(said) or said.logprob < _UNCERTAIN):
            again = self._pass(replace(sound, language=said.language, draft=()), self._full)
            said = again if self._doubtful(said) or again.logprob > said.logprob else said
        if _without_speech(said):
            return Said((), said.language, said.no_speech)
        if self._doubtful(said):
            return replace(said, tokens=without_loop(said.tokens), ended=False)
        return said

    def times(self, sound: Sound, said: Said) -> tuple[SpokenWord, ...]:
        """Return the words of what was just heard with their times; () where the model cannot tell."""
        texts = [token for token in said.tokens if token < self._words.end]
        if not self._networks.aligned or not texts:
            return ()
        opening = [self._words.start, *self._words.opening(said.language, sound.task), self._words.no_timestamps]
        self._decode.reset_state()
        self._logits([*opening, *texts, self._words.end])
        scores = [self._decode.get_output_tensor(1 + place).data[0] for place in range(len(self._networks.aligned))]
        begin = len(opening) - 1  # a token's attention is that of the step that chose it
        begins = token_times(np.concatenate(scores)[:, begin : begin + len(texts) + 1], sound.length_s)
        return tuple(
            SpokenWord(text, float(begins[first]), float(begins[end])) for text, first, end in self._words.words(texts)
        )

    @property
    def _full(self) -> int:
        return 2 * self._networks.positions

    def _window(self, length_s: float) -> int:
        """Return the frames that are heard: the sound and the silence behind it, in whole steps."""
        if self._networks.window_s < _SHORTEST_WINDOW_S:
            return self._full
        frames = math.ceil((length_s + SILENCE_S) * _FRAMES_S / _STEP_FRAMES) * _STEP_FRAMES
        return min(self._full, frames)

    def _pass(self, sound: Sound, frames: int) -> Said:
        features = log_mel(sound.samples, frames, self._networks.mels)[None]
        self._encode.infer({0: features}, share_inputs=True)
        for place in range(len(self._encode.output_tensors)):
            self._decode.set_tensor(f"sound.{place}", self._encode.get_output_tensor(place))
        return self._write(sound, frames / _FRAMES_S)

    def _write(self, sound: Sound, window_s: float) -> Said:
        """Decode what the buffer holds."""
        words = self._words
        self._decode.reset_state()
        head = [*sound.before, words.start]
        language = sound.language
        no_speech = None
        if language is None and words.languages:
            first = self._logits(head)[-1]
            no_speech, language = _share(first, words.no_speech), self._likeliest(first)
        opening = words.opening(language, sound.task)
        fed = [*opening, *sound.draft] if no_speech is not None else [*head, *opening, *sound.draft]
        logits = self._logits(fed)
        if no_speech is None:
            no_speech = _share(logits[len(sound.before)], words.no_speech)
        rules = TokenRules(words, window_s)
        tokens: list[int] = []
        logprobs: list[float] = []
        accepted, draft = 0, list(sound.draft)
        while True:
            stood = self._check(rules, logits[len(logits) - 1 - len(draft) :], draft, tokens, logprobs)
            accepted += stood
            if stood == len(draft) or tokens[-1] == words.end:
                break
            # The cache holds the rest of a draft that is wrong from here on, and cannot be cut (it is stateful): it is
            # reset and fed again, in the same call as what of the draft may still hold.
            retimed = min(tokens[-1], draft[stood]) >= words.first_time  # of what was cut, times differ by little
            draft = _behind(draft[stood:], tokens[-1]) if stood >= _NEAR or retimed else []  # else it leads nowhere
            self._decode.reset_state()
            logits = self._logits([*head, *opening, *tokens, *draft])
        limit = (_TOKENS_MORE if sound.careful else _TOKENS_MORE // 2) + int(_TOKENS_A_SECOND * sound.length_s)
        limit = min(limit, words.longest - len(head) - len(opening) - 1)
        while tokens[-1] != words.end and len(tokens) < limit:
            self._add(rules, self._logits(tokens[-1:])[-1], tokens, logprobs)
        ended = tokens[-1] == words.end
        return Said(tuple(tokens[:-1] if ended else tokens), language, no_speech, tuple(logprobs), ended, accepted)

    def _check(
        self,
        rules: TokenRules,
        logits: NDArray[np.float32],
        draft: Sequence[int],
        tokens: list[int],
        logprobs: list[float],
    ) -> int:
        """Add the draft's tokens as far as they would have been chosen, then the one chosen instead or next.

        Return how many of the draft's stood.
        """
        for place, row in enumerate(logits):
            self._add(rules, row, tokens, logprobs)
            if place == len(draft) or tokens[-1] != draft[place]:
                return place
        raise AssertionError  # pragma: no cover - there is a row more than drafted tokens

    def _add(self, rules: TokenRules, row: NDArray[np.float32], tokens: list[int], logprobs: list[float]) -> None:
        token, logprob = rules.choose(row.copy(), tokens)
        tokens.append(token)
        logprobs.append(logprob)

    def _logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return [tokens, vocabulary] of the tokens' followers; valid until the next call."""
        if self._left.is_set():
            raise Interrupted
        self._decode.set_tensor("input_ids", _tensor(np.array([tokens], np.int64)))
        self._decode.infer()
        found: NDArray[np.float32] = self._decode.get_output_tensor(0).data[0]
        return found

    def _likeliest(self, row: NDArray[np.float32]) -> str:
        names = list(self._words.languages)
        return names[int(row[list(self._words.languages.values())].argmax())]

    def _doubtful(self, said: Said) -> bool:
        """Whether it goes on in a loop: it did not end, or says the same again and again."""
        if not said.ended:
            return True
        raw = self._words.text(said.tokens).encode()
        return len(raw) > _REPETITIVE * len(zlib.compress(raw)) if raw else False


def _behind(draft: Sequence[int], chosen: int) -> list[int]:
    """Return what of a draft may still follow a token that was chosen in the place of its first."""
    near = list(draft[:_NEAR])
    rest = list(draft[near.index(chosen) + 1 if chosen in near else 1 :])
    return rest if len(rest) >= _WORTH_A_CALL else []


def _without_speech(said: Said) -> bool:
    """Whether there is no speech: by two signs, each of which alone misses some noise and drops some speech."""
    return any(said.no_speech > share and said.logprob < likely for share, likely in _WITHOUT_SPEECH)


def without_loop(tokens: Sequence[int]) -> tuple[int, ...]:
    """Return tokens that end in a loop with the loop's words once; a last part of it goes too."""
    for length in range(1, len(tokens) // 3 + 1):
        for rest in range(length):
            body = tokens[: len(tokens) - rest]
            loop = body[-length:]
            times = 0
            while body[-length:] == loop and len(body) >= length:
                body = body[:-length]
                times += 1
            if times >= 3 and tokens[len(tokens) - rest :] == loop[:rest]:  # noqa: PLR2004 - what is said thrice
                return (*body, *loop)
    return tuple(tokens)


def _share(row: NDArray[np.float32], token: int) -> float:
    """Return the probability of one token."""
    shifted = np.exp(row - row.max())
    return float(shifted[token] / shifted.sum())


def _tensor(array: NDArray[Any]) -> Any:
    import openvino as ov

    return ov.Tensor(array)


def _mels(folder: Path) -> int:
    """Return how many mels the features have."""
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return int(config.get("feature_size") or 80)
