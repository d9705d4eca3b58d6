"""The task of transcription: speech to text."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.library.tasks import ExportDefaults, LoadRequest, ModelFiles, ShippedModel, TaskKind

_WHISPER: Final = frozenset({"openvino_encoder_model.xml", "openvino_decoder_model.xml"})


def _recognise(files: ModelFiles) -> bool:
    return files.names >= _WHISPER


def _load(request: LoadRequest) -> WhisperEngine:
    loaded = WhisperEngine(
        request.folder,
        name=request.name,
        devices=[request.device],
        properties=request.devices.generation_properties(request.device, request.folder),
    )
    loaded.load()
    loaded.try_out()
    return loaded


TRANSCRIPTION: Final = TaskKind(
    name="transcription",
    recognise=_recognise,
    load=_load,
    ships=(ShippedModel("whisper-base"), ShippedModel("whisper-pocket")),
    export=ExportDefaults("automatic-speech-recognition-with-past", "fp16"),
    facts=frozenset({"transcription", "audio", "streaming"}),
    steps=frozenset({"transcribe"}),
    prepares=frozenset({"hear"}),
    roles=("speech",),
)
