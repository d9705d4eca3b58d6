"""A Piper voice out of a package: the Whisper that ships understands it, as `fastembed doctor` asks."""

from __future__ import annotations

from fastembed.commands.doctor_probes import PROBES
from fastembed.inference.serving.models import Models


async def test_what_it_says_is_understood() -> None:
    models = Models()
    try:
        right, detail = await PROBES["speech_synthesis"](models, "piper-joe", "CPU")
    finally:
        await models.close()
    assert right, detail
