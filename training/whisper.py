"""Makes `models/whisper-pocket`: Whisper's architecture with 0.68 million parameters, on synthetic speech.

    python training/whisper.py OUT [--share 1.0]

Needs what `README.md` of this folder lists, and espeak-ng (Debian's package of that name) to speak; nothing of it is
needed to run the model. `whisper_speech.py` says what is spoken, `whisper_windows.py` what is made of it. The encoder
learns with the help of a head that names the words in order (CTC), which is thrown away afterwards; Whisper's own loss
alone takes hours until the decoder listens. `--share 0.02` is a trial of a minute. The same seeds give the same windows
and steps; how floats add up differs a little between machines.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from folder import write_folder
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn import functional
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from whisper_speech import ENGLISH, GERMAN, RATE_HZ, WINDOW_S, training_speech
from whisper_windows import CLASSES, LAST_STEP, LATEST_START, STEPS_S, Composer, Window, Writer

WIDTH, LAYERS, HEADS = 96, 2, 4
MEL, HOP, FFT = 80, 160, 400  # Whisper's own
BATCH, STEPS, PHRASES = 24, 4500, 6000
RATE = 2e-3
LANGUAGES = ("en", "de")
MARKS = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
UNSAID = -100  # a target that is not the model's to find
FRONT_END = {
    "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor", "feature_size": MEL,
    "sampling_rate": RATE_HZ, "hop_length": HOP, "n_fft": FFT, "chunk_length": WINDOW_S,
    "n_samples": WINDOW_S * RATE_HZ, "nb_max_frames": WINDOW_S * RATE_HZ // HOP, "padding_side": "right",
    "padding_value": 0.0, "return_attention_mask": False,
}  # fmt: skip


def make_tokenizer() -> Tokenizer:
    """Return a byte-level BPE in which every word is one token, with Whisper's marks and times behind the words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=4000, min_frequency=1, initial_alphabet=alphabet, special_tokens=[])
    tokenizer.train_from_iterator([f" {word}" for word in [*ENGLISH, *GERMAN]], trainer)
    tokenizer.add_special_tokens(list(MARKS))
    times = (f"<|{step / STEPS_S:.2f}|>" for step in range(LAST_STEP + 1))
    tokenizer.add_tokens([AddedToken(time, special=False, normalized=False) for time in times])
    around = ("<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{around[0]} {around[1]} $A {around[2]}",
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in around],
    )
    return tokenizer


def make_network(tokenizer: Tokenizer) -> WhisperForConditionalGeneration:
    """Return the network, untrained."""
    torch.manual_seed(0)
    end = tokenizer.token_to_id("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_mel_bins=MEL,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        max_source_positions=WINDOW_S * RATE_HZ // HOP // 2,
        max_target_positions=96,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=tokenizer.token_to_id("<|startoftranscript|>"),
        dropout=0.0,
        attention_dropout=0.0,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    return WhisperForConditionalGeneration(config)


class FrontEnd:
    """Turns sound into log mel spectra as Whisper's feature extractor does, a batch at a time."""

    def __init__(self) -> None:
        extractor = WhisperFeatureExtractor(feature_size=MEL, chunk_length=WINDOW_S)
        self.filters = torch.tensor(extractor.mel_filters, dtype=torch.float32).T.contiguous()
        self.window = torch.hann_window(FFT)

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """Return [batch, MEL, frames] for [batch, samples]."""
        power = torch.stft(samples, FFT, HOP, window=self.window, return_complex=True)[..., :-1].abs() ** 2
        spectrum = torch.clamp(self.filters @ power, min=1e-10).log10()
        spectrum = torch.maximum(spectrum, spectrum.amax((1, 2), keepdim=True) - 8)
        return (spectrum + 4) / 4


class Course:
    """The training data and losses: windows, target tokens, and the auxiliary CTC head of the encoder."""

    def __init__(self, network: WhisperForConditionalGeneration, tokenizer: Tokenizer, composer: Composer) -> None:
        self.network, self.composer, self.rng = network, composer, composer.rng
        self.end = tokenizer.token_to_id("<|endoftext|>")
        self.writer, self.front_end = Writer(tokenizer), FrontEnd()
        self.head = torch.nn.Linear(WIDTH, len(CLASSES) + 1)

    def losses(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of the decoder's tokens and of the head's words over the next batch."""
        windows = [self.composer.window() for _ in range(BATCH)]
        inputs, targets = self._written(windows)
        spectra = self.front_end(torch.from_numpy(np.stack([window.samples for window in windows])))
        self._hide(spectra)
        heard = self.network.model.encoder(spectra).last_hidden_state
        logits = self.network(encoder_outputs=BaseModelOutput(heard), decoder_input_ids=inputs, use_cache=False).logits
        of_tokens = functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=UNSAID, label_smoothing=0.05
        )
        named = self.head(heard).log_softmax(-1).transpose(0, 1)
        words = [[CLASSES[word] for word in window.spoken_words()] for window in windows]
        of_words = functional.ctc_loss(
            named,
            torch.tensor([number for row in words for number in row]),
            torch.full((BATCH,), len(named)),
            torch.tensor([len(row) for row in words]),
            zero_infinity=True,
        )
        return of_tokens, of_words

    def _written(self, windows: list[Window]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the decoder's inputs and targets [batch, length]: half with times, some German translated."""
        rows = []
        for window in windows:
            timed = self.rng.random() < 0.5
            translated = window.language == "de" and self.rng.random() < 0.35
            rows.append(self.writer.tokens(window, timed=timed, translated=translated))
        length = max(len(tokens) for tokens, _ in rows) - 1
        inputs = torch.full((len(rows), length), self.end)
        targets = torch.full((len(rows), length), UNSAID)
        for row, (tokens, found) in enumerate(rows):
            inputs[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
            wanted = [token if is_found else UNSAID for token, is_found in zip(tokens, found, strict=True)]
            targets[row, : len(tokens) - 1] = torch.tensor(wanted[1:])
        return inputs, targets

    def _hide(self, spectra: torch.Tensor) -> None:
        """Blank a few bands and frames of most batches (SpecAugment)."""
        if self.rng.random() < 0.6:
            band, frame = self.rng.randint(0, 70), self.rng.randint(0, 550)
            spectra[:, band : band + self.rng.randint(1, 9)] = spectra.mean()
            spectra[:, :, frame : frame + self.rng.randint(1, 20)] = spectra.mean()


def train(course: Course, steps: int) -> None:
    """Train: the learning rate is full for 0.3 of the steps, then goes down a cosine."""
    parameters = [*course.network.parameters(), *course.head.parameters()]
    optimizer = torch.optim.AdamW(
        [one for one in parameters if one.requires_grad], RATE, (0.9, 0.98), weight_decay=0.02
    )
    began, noted = time.process_time(), []
    for step in range(steps):
        past = step / steps
        cooled = 1.0 if past < 0.3 else 0.5 * (1 + math.cos(math.pi * (past - 0.3) / 0.7))
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 300) * cooled + 1e-6
        of_tokens, of_words = course.losses()
        optimizer.zero_grad()
        (of_tokens + (0.5 if past < 0.7 else 0.15) * of_words).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        noted.append((of_tokens.item(), of_words.item()))
        if (step + 1) % 50 == 0:
            tokens, words = (sum(column) / 50 for column in zip(*noted[-50:], strict=True))
            spent = time.process_time() - began
            print(f"{step + 1:6} steps {spent:5.0f} s  loss of tokens {tokens:.4f}, of words {words:.4f}", flush=True)


def save(network: WhisperForConditionalGeneration, tokenizer: Tokenizer, saved: Path) -> None:
    """Write what the export reads."""
    number = tokenizer.token_to_id
    settings = {
        "is_multilingual": True,
        "lang_to_id": {f"<|{language}|>": number(f"<|{language}|>") for language in LANGUAGES},
        "task_to_id": {task: number(f"<|{task}|>") for task in ("transcribe", "translate")},
        "no_timestamps_token_id": number("<|notimestamps|>"),
        "prev_sot_token_id": number("<|startofprev|>"),
        "max_initial_timestamp_index": LATEST_START,
        "max_length": 90,
        "return_timestamps": False,
        "alignment_heads": [[LAYERS - 1, head] for head in range(HEADS)],
        "forced_decoder_ids": None,
    }
    for name, value in settings.items():
        setattr(network.generation_config, name, value)
    network.eval().save_pretrained(saved)
    tokenizer.save(str(saved / "tokenizer.json"))
    mark = "<|endoftext|>"
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, "clean_up_tokenization_spaces": False}
    marks = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), mark)
    (saved / "tokenizer_config.json").write_text(json.dumps(kind | marks))
    (saved / "preprocessor_config.json").write_text(json.dumps(FRONT_END))


def main() -> None:
    """Speak, train, then write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the phrases and steps, for a trial")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    network = make_network(tokenizer)
    size = sum(parameter.numel() for parameter in network.parameters())
    print(f"{size / 1e6:.2f} million parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    spoken = training_speech(round(PHRASES * options.share))
    print(f"{len(spoken)} phrases, {sum(len(one.sound) for one in spoken) / RATE_HZ:.0f} s", flush=True)
    train(Course(network, tokenizer, Composer(spoken, random.Random(1))), round(STEPS * options.share))
    with tempfile.TemporaryDirectory() as saved:
        save(network, tokenizer, Path(saved))
        write_folder(
            Path(saved), options.out, "automatic-speech-recognition-with-past", nb_max_frames=FRONT_END["nb_max_frames"]
        )


if __name__ == "__main__":
    main()
