#!/bin/sh
# OpenVINO GenAI's Text2SpeechPipeline for Kokoro looks English words up in its dictionaries and asks libespeak-ng for the
# others. Where that library cannot be loaded, a word that no dictionary has (a name, a product) is left out of the sound:
# no error, no warning. Expected: an error, as for languages other than English, or the word spelled.
# Prints the version, and how many phonemes reach the network with and without the unknown word; fails if they differ.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 openvino-genai==2026.4.1.0 openvino-tokenizers==2026.4.1.0 numpy
cd "$folder" && mkdir hidden && touch hidden/libespeak-ng.so hidden/libespeak-ng.so.1  # a library that cannot be loaded
LD_LIBRARY_PATH="$folder/hidden" venv/bin/python - <<'PY'
import json, os
import numpy as np, openvino, openvino_genai
from openvino import opset13 as ops

# A network that gives one sample for each phoneme.
ids = ops.parameter([1, -1], np.int64, name="input_ids")
style = ops.parameter([1, 256], np.float32, name="ref_s")
speed = ops.parameter([1], np.float32, name="speed")
for parameter in (ids, style, speed):
    parameter.output(0).set_names({parameter.get_friendly_name()})
wave = ops.add(ops.convert(ids, "f32"), ops.multiply(ops.reduce_sum(style, ops.constant([0, 1])), ops.reduce_sum(speed, ops.constant([0]))))
wave.output(0).set_names({"waveform"})
same = ops.add(ids, ops.constant(np.int64(0))); same.output(0).set_names({"phonemes"})
os.mkdir("kokoro"); os.mkdir("kokoro/data")
openvino.save_model(openvino.Model([ops.result(wave), ops.result(same)], [ids, style, speed]), "kokoro/openvino_model.xml")
words = {"hello": "həlˈO", "there": "ðɛɹ"}
vocab = {letter: at + 1 for at, letter in enumerate(sorted(set("".join(words.values()) + " .")))}
json.dump({"model_type": "kokoro", "vocab": vocab, "plbert": {"max_position_embeddings": 512}}, open("kokoro/config.json", "w"))
for name in ("us_gold", "us_silver", "gb_gold", "gb_silver"):
    json.dump(words, open(f"kokoro/data/{name}.json", "w"))

pipeline = openvino_genai.Text2SpeechPipeline("kokoro", "CPU")
voice = openvino.Tensor(np.zeros((510, 1, 256), np.float32))
def phonemes(text):
    return pipeline.generate(text, voice, language="en-us", speed=1.0).speeches[0].get_size()
known, more = phonemes("hello there"), phonemes("hello Kubernetes there")
print("openvino_genai", openvino_genai.__version__, ": 'hello there' has", known, "ids, 'hello Kubernetes there'", more)
assert more - known <= 1, "the unknown word is said: spelling it can go"
PY
