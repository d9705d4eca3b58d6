"""The tasks that ship. A folder is shown to the last first."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines import turns
from fastembed.inference.engines.chat.kind import CHAT, CODE
from fastembed.inference.engines.docling.kind import DOCUMENT
from fastembed.inference.engines.embedding.kind import EMBEDDING
from fastembed.inference.engines.rerank.kind import RERANK
from fastembed.inference.engines.speakers.kind import SPEAKER_EMBEDDING
from fastembed.inference.engines.speech.kind import TRANSCRIPTION
from fastembed.inference.engines.voice.kind import SPEECH_SYNTHESIS
from fastembed.inference.library.tasks import ModelFiles, TaskKind


def _is_voice_activity(files: ModelFiles) -> bool:
    return any(name.endswith(".onnx") and "vad" in name for name in files.names)


VOICE_ACTIVITY: Final = TaskKind(name="voice_activity", recognise=_is_voice_activity)
TURN_DETECTION: Final = TaskKind(name="turn_detection", recognise=lambda files: turns.FILE in files.names)
SPEECH: Final = TaskKind(name="speech")
KINDS: Final[tuple[TaskKind, ...]] = (
    EMBEDDING,
    CHAT,
    CODE,
    RERANK,
    VOICE_ACTIVITY,
    TURN_DETECTION,
    SPEAKER_EMBEDDING,
    DOCUMENT,
    SPEECH_SYNTHESIS,
    TRANSCRIPTION,
    SPEECH,
)
