"""The task of speaker embedding: whose voice it is."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.speakers.model import FILE, SpeakerEncoder
from fastembed.inference.library.index.ge2e import MODEL_TYPE
from fastembed.inference.library.tasks import LoadRequest, ModelFiles, TaskKind

NAME: Final = "speaker_embedding"


def _recognise(files: ModelFiles) -> bool:
    return FILE in files.names and files.config.get("model_type") == MODEL_TYPE


def _load(request: LoadRequest) -> SpeakerEncoder:
    return SpeakerEncoder(request.name, request.folder, request.devices, request.device)


SPEAKER_EMBEDDING: Final = TaskKind(
    name=NAME,
    recognise=_recognise,
    load=_load,
    choice="only",
    facts=frozenset({"diarization"}),
    roles=("speakers",),
)
