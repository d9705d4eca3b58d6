"""Whisper on plain OpenVINO: windows as long as their sound, several decoded in step, loops told and mended.

Theory of operation. A pass takes sounds of up to 30 s, each with 2 s of silence behind it, encodes just that (`graph`),
one after the other, and decodes all in step (`batch`), greedily under the timestamp rules (`rules`), each from its
draft on (`hypothesis`).

    sounds -> level -> log-mel -> encoder -> keys and values, side by side -> tokens of all rows, one by one -> ends

What does not end by itself, within 8 tokens a second of sound, is a loop: it is heard again in the full window, and if
it loops there too, its repetitions are cut. No words: where the first token's logits say that there is no speech.

One runner is one sequence of calls from one thread; runners share the compiled networks and nothing else. The decoder
is compiled in f32: where the CPU has bf16, its rounding costs words, and f32 is no slower at one token a step.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.alignment import token_times
from fastembed.inference.engines.speech.batch import DecoderBatch, SoundMemory
from fastembed.inference.engines.speech.engine import RATE_HZ, SpokenWord
from fastembed.inference.engines.speech.features import HOP, log_mel
from fastembed.inference.engines.speech.hypothesis import Hypothesis, Sound
from fastembed.inference.engines.speech.vocabulary import TICK_S, SpeechVocabulary

SILENCE_S: Final = 2.0
"""Behind the sound; with 1.5 s Whisper begins to go on in loops, with 0.5 s every second text does."""
_STEP_FRAMES: Final = 100
"""Windows are whole seconds: OpenVINO prepares kernels for every new length, at the price of 3 s of sound."""
_SHORTEST_WINDOW_S: Final = 10.0  # of models: one that was trained on less knows no other length than its own
_WITHOUT_SPEECH: Final = ((0.6, -0.92), (0.4, -1.5))
"""There is no speech where no_speech is above the one and the average log probability below the other. Measured: speech
0.46 and -0.90, 0.56 and -0.85 at worst; silence 0.93 and -0.98, noise 0.73 and -1.86, a chord 0.56 and -1.91."""
_UNCERTAIN: Final = -0.6  # average log probability: below, the full window often hears better
_REPETITIVE: Final = 2.4  # compression ratio, OpenAI's
_FRAMES_S: Final = RATE_HZ // HOP


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one pass heard.

    tokens: with their timestamps; logprobs: how likely each was, and the end. accepted: how many of the draft's stood.
    attention: of each token, what the alignment heads looked for, and what they could find; None where there are none.
    """

    tokens: tuple[int, ...]
    language: str | None
    no_speech: float
    logprobs: tuple[float, ...] = ()
    ended: bool = True
    accepted: int = 0
    attention: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def logprob(self) -> float:
        """The average log probability of its tokens, the end included."""
        return sum(self.logprobs) / max(1, len(self.logprobs))


class Networks:
    """The compiled encoder and decoder of one folder. RuntimeError, as OpenVINO raises it: not such a Whisper."""

    def __init__(
        self, folder: Path, properties: dict[str, Any], vocabulary: SpeechVocabulary, heads: Sequence[Any]
    ) -> None:
        """Read, edit, compile: some seconds."""
        import openvino as ov

        from fastembed.inference.engines.speech.graph import any_length, move_projections
        from fastembed.inference.engines.speech.rows import add_queries, free_rows

        core = ov.Core()
        encoder = core.read_model(folder / "openvino_encoder_model.xml")
        decoder = core.read_model(folder / "openvino_decoder_model.xml")
        self.positions = any_length(encoder)
        encoder = move_projections(encoder, decoder)
        free_rows(decoder)
        self.aligned = add_queries(decoder, heads) if heads else []
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
        self._memory = SoundMemory(len(networks.encoder.outputs))

    def hear(self, sounds: Sequence[Sound]) -> list[Said | None]:
        """Write down sounds, each in a full window if it does not end in its own; None: it was left meanwhile."""
        said = self._pass(sounds, [self._window(sound.length_s) for sound in sounds])
        # Twice at most. The second pass has no draft, which may have led into the loop, and the window that the model
        # was trained on; a language that was told apart in the first is kept, since noise behind the words may change
        # it.
        again = [row for row, found in enumerate(said) if found is not None and self._hears_again(sounds[row], found)]
        if again:
            wider = [replace(sounds[row], language=_language(said[row]), draft=()) for row in again]
            for row, found in zip(again, self._pass(wider, [self._full] * len(again)), strict=True):
                said[row] = self._better(said[row], found)
        return [found and self._judged(found) for found in said]

    def detect(self, samples: NDArray[np.float32]) -> str | None:
        """Return the language of a sound, of no more than a window; None: the model knows one only."""
        sound = Sound(samples)
        width = self._window(sound.length_s)
        hypothesis = Hypothesis(sound, self._words, width / _FRAMES_S, alone=True)
        if not self._words.languages:
            return None
        self._encoded([sound], [width])
        batch = DecoderBatch(self._decode, self._memory, len(self._networks.aligned))
        logits, _ = batch.feed([hypothesis.head], [1])
        hypothesis.detect(logits[0][0])
        return hypothesis.language

    def times(self, sound: Sound, said: Said) -> tuple[SpokenWord, ...]:
        """Return the words of what was heard with their times; () where the model cannot tell."""
        if said.attention is None or not said.tokens:
            return ()
        queries, keys = said.attention
        places = [place for place, token in enumerate(said.tokens) if token < self._words.end]
        texts = [said.tokens[place] for place in places]
        if not texts:
            return ()
        behind = places[-1] + 1  # the token behind the text, a time or the end
        scores = queries[:, [*places, min(behind, queries.shape[1] - 1)]] @ keys.transpose(0, 2, 1)
        begins = token_times(scores, sound.length_s)
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

    def _hears_again(self, sound: Sound, said: Said) -> bool:
        if not sound.careful or self._window(sound.length_s) >= self._full:
            return False
        return self._doubtful(said) or said.logprob < _UNCERTAIN

    def _better(self, said: Said | None, again: Said | None) -> Said | None:
        if said is None or again is None:
            return None
        return again if self._doubtful(said) or again.logprob > said.logprob else said

    def _judged(self, said: Said) -> Said:
        """Return no words where there is no speech, and those of a loop once."""
        if _without_speech(said):
            return Said((), said.language, said.no_speech)
        if self._doubtful(said):
            return replace(said, tokens=without_loop(said.tokens), ended=False)
        return said

    def _encoded(self, sounds: Sequence[Sound], frames: Sequence[int]) -> list[NDArray[np.float32] | None]:
        """Put the sounds into the memory; return what the alignment heads can find in each."""
        self._memory.begin(len(sounds), max(frames) // 2)
        keys = []
        for row, (sound, width) in enumerate(zip(sounds, frames, strict=True)):
            features = log_mel(sound.samples, width, self._networks.mels)[None]
            self._encode.infer({0: features}, share_inputs=True)
            outputs = [tensor.data for tensor in self._encode.output_tensors]
            self._memory.put(row, outputs)
            keys.append(self._alignment_keys(outputs))
        return keys

    def _pass(self, sounds: Sequence[Sound], frames: Sequence[int]) -> list[Said | None]:
        keys = self._encoded(sounds, frames)
        hypotheses = [
            Hypothesis(sound, self._words, width / _FRAMES_S, alone=len(sounds) == 1)
            for sound, width in zip(sounds, frames, strict=True)
        ]
        self._write(hypotheses)
        return [self._said(hypothesis, found) for hypothesis, found in zip(hypotheses, keys, strict=True)]

    def _alignment_keys(self, outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32] | None:
        """Return what the alignment heads can find: [heads, places, width]. A layer has its keys, then its values."""
        layers = [outputs[2 * layer][0, list(heads)] for layer, heads in self._networks.aligned]
        return np.concatenate(layers) if layers else None

    def _write(self, hypotheses: Sequence[Hypothesis]) -> None:
        """Decode what the memory holds, until all rows have ended."""
        batch = DecoderBatch(self._decode, self._memory, len(self._networks.aligned))
        self._open(batch, hypotheses)
        while any(not row.over for row in hypotheses):
            pieces = [[] if row.over else row.next() for row in hypotheses]
            self._take(batch, hypotheses, *batch.feed(pieces, [len(piece) for piece in pieces]))

    def _open(self, batch: DecoderBatch, rows: Sequence[Hypothesis]) -> None:
        """Feed what comes before the text, and the drafts. Who needs to be told the language makes it two calls."""
        detects = any(row.language is None for row in rows) and bool(self._words.languages)
        if detects:
            logits, _ = batch.feed([row.head for row in rows], [1] * len(rows))
            for row, found in zip(rows, logits, strict=True):
                row.detect(found[0])
        openings = [row.opening() for row in rows]
        pieces = [
            [*([] if detects else row.head), *opening, *row.next()] for row, opening in zip(rows, openings, strict=True)
        ]
        starts = [len(row.next()) + 1 + (0 if detects else len(o)) for row, o in zip(rows, openings, strict=True)]
        logits, queries = batch.feed(pieces, starts)
        for place, row in enumerate(rows):
            skipped = starts[place] - len(row.next()) - 1
            if not detects:
                row.detect(logits[place][0])
            sought = queries[place][:, skipped:] if queries else None
            batch.forget(place, row.take(logits[place][skipped:], sought))

    def _take(
        self,
        batch: DecoderBatch,
        rows: Sequence[Hypothesis],
        logits: Sequence[NDArray[np.float32]],
        queries: Sequence[NDArray[np.float32]],
    ) -> None:
        for place, row in enumerate(rows):
            if not row.over:
                batch.forget(place, row.take(logits[place], queries[place] if queries else None))

    def _said(self, found: Hypothesis, keys: NDArray[np.float32] | None) -> Said | None:
        if found.sound.abandoned:
            return None
        tokens = tuple(found.tokens[:-1] if found.ended else found.tokens)
        attention = (np.stack(found.queries, axis=1), keys) if keys is not None and found.queries else None
        return Said(
            tokens,
            found.language,
            found.no_speech,
            tuple(found.logprobs),
            found.ended,
            found.accepted,
            attention,
        )

    def _doubtful(self, said: Said) -> bool:
        """Whether it goes on in a loop: it did not end, or says the same again and again."""
        if not said.ended:
            return True
        raw = self._words.text(said.tokens).encode()
        return len(raw) > _REPETITIVE * len(zlib.compress(raw)) if raw else False


def _language(said: Said | None) -> str | None:
    return said.language if said is not None else None


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


def _mels(folder: Path) -> int:
    """Return how many mels the features have."""
    file = folder / "preprocessor_config.json"
    config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return int(config.get("feature_size") or 80)
