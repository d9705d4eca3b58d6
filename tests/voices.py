"""A tiny voice for tests: GenAI's own Kokoro pipeline and dictionary reading, over a graph that hums a tone.

It hums 25 ms for every phoneme, 440 Hz, so what was said can be told from how long it sounds.
"""

import json
from pathlib import Path

import numpy as np

PHONEME_SAMPLES = 600
WORDS = {
    "hello": "həlˈO",
    "there": "ðɛɹ",
    "good": "ɡˈʊd",
    "morning": "mˈɔɹnɪŋ",
    "the": "ðə",
    "weather": "wˈɛðəɹ",
    "is": "ɪz",
    "cold": "kˈOld",
    "and": "ænd",
    "windy": "wˈɪndi",
    "sure": "ʃˈʊɹ",
    "yes": "jˈɛs",
    "of": "ʌv",
    "course": "kˈɔɹs",
    "here": "hˈɪɹ",
    "it": "ɪt",
}


def make_voice(folder: Path, voices: tuple[str, ...] = ("af_alloy", "af_heart", "bm_fable")) -> Path:
    """Write a voice's folder that loads in a moment."""
    import openvino
    from openvino import opset13 as ops

    ids = ops.parameter([1, -1], np.int64, name="input_ids")
    style = ops.parameter([1, 256], np.float32, name="ref_s")
    speed = ops.parameter([1], np.float32, name="speed")
    for parameter in (ids, style, speed):
        parameter.output(0).set_names({parameter.get_friendly_name()})
    zero, one = ops.constant(np.int64(0)), ops.constant(np.int64(1))
    count = ops.gather(ops.shape_of(ids, "i64"), one, zero)
    length = ops.divide(
        ops.multiply(ops.convert(count, "f32"), ops.constant(np.float32(PHONEME_SAMPLES))), ops.squeeze(speed, zero)
    )
    steps = ops.range(ops.constant(np.float32(0)), length, ops.constant(np.float32(1)), "f32")
    quiet = ops.multiply(ops.reduce_sum(style, ops.constant(np.array([0, 1], np.int64))), ops.constant(np.float32(0)))
    tone = ops.sin(ops.multiply(steps, ops.constant(np.float32(2 * np.pi * 440 / 24_000))))
    sound = ops.add(ops.multiply(tone, ops.constant(np.float32(0.5))), quiet)
    wave = ops.unsqueeze(sound, zero)
    wave.output(0).set_names({"waveform"})
    echo = ops.add(ids, ops.constant(np.int64(0)))
    echo.output(0).set_names({"phonemes"})
    (folder / "voices").mkdir(parents=True)
    (folder / "data").mkdir()
    openvino.save_model(
        openvino.Model([ops.result(wave), ops.result(echo)], [ids, style, speed], "hum"), folder / "openvino_model.xml"
    )
    letters = sorted({letter for said in WORDS.values() for letter in said} | set(" .,!?;:—"))
    config = {
        "model_type": "kokoro",
        "vocab": {letter: place + 1 for place, letter in enumerate(letters)},
        "plbert": {"max_position_embeddings": 512},
    }
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    for name in ("us_gold", "us_silver", "gb_gold", "gb_silver"):
        words = WORDS if name.endswith("gold") else {}
        (folder / "data" / f"{name}.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    for voice in voices:
        np.zeros((510, 1, 256), np.float32).tofile(folder / "voices" / f"{voice}.bin")
    return folder
