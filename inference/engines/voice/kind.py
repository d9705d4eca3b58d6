"""The task of speech synthesis: text to speech."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastembed.inference.engines.voice import kokoro, piper
from fastembed.inference.engines.voice.engine import VoiceList
from fastembed.inference.engines.voice.model import SpeechSynthesizer
from fastembed.inference.library.tasks import LoadRequest, ModelFiles, TaskKind

NAME: Final = "speech_synthesis"


def _recognise(files: ModelFiles) -> bool:
    if any(name.endswith(piper.CONFIG) for name in files.names):
        return True
    return "openvino_model.xml" in files.names and files.config.get("model_type") == "kokoro"


def voices_of(folder: Path) -> VoiceList:
    """Return the voices of a model's folder, without loading it."""
    return piper.voices_of(folder) if piper.model_of(folder) else kokoro.voices_of(folder)


def _load(request: LoadRequest) -> SpeechSynthesizer:
    return SpeechSynthesizer(
        request.name,
        request.folder,
        voices_of(request.folder),
        device=request.device,
        properties=request.devices.generation_properties(request.device, request.folder),
    )


def _processes(model: SpeechSynthesizer) -> list[int]:
    return [model.pid] if model.pid is not None else []


def _details(folder: Path) -> Mapping[str, Any]:
    found = voices_of(folder)
    return {"voices": list(found.names), "voice_aliases": dict(found.aliases), "default_voice": found.default}


SPEECH_SYNTHESIS: Final = TaskKind(
    name=NAME,
    recognise=_recognise,
    load=_load,
    processes=_processes,
    details=_details,
    facts=frozenset({"speech_synthesis", "streaming"}),
    steps=frozenset({"speak"}),
    roles=("voice",),
)
