"""`fastembed speak`: a text read aloud into a file, without the server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import BinaryIO, Final, Self

import typer

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.inference.engines.media.encode import (
    SOUND_FORMATS,
    WAV_HEADER_BYTES,
    SoundEncoder,
    SoundFormat,
    wav_header,
)
from fastembed.operators.speak import Speak
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.voice import SpeakRequest
from fastembed.server.observability.logs import configure

_ENDINGS: Final = {"ogg": "opus"}


def speak(text: str, output: Path, config: Path | None, *, model: str, voice: str, speed: float) -> int:
    """Write a text's sound into a file. text "-": what comes over standard input."""
    configure("text", "warning")
    form = sound_format(output)
    request = SpeakRequest(sys.stdin.read() if text == "-" else text, model=model, voice=voice, speed=speed)
    seconds, by = asyncio.run(_run(request, output, form, make_resources(read_configuration(config))))
    typer.echo(f"{output}: {seconds:.1f} s, by {by}", err=True)
    return 0


def sound_format(output: Path) -> SoundFormat:
    """Return the format that a file's ending names. FastEmbedError: it is none that is written here."""
    ending = output.suffix.lower().lstrip(".")
    form = _ENDINGS.get(ending, ending)
    if form not in SOUND_FORMATS:
        raise FastEmbedError(f"found the file {output}, expected one that ends in .{', .'.join(SOUND_FORMATS)} or .ogg")
    return form


async def _run(request: SpeakRequest, output: Path, form: SoundFormat, resources: Resources) -> tuple[float, str]:
    seconds, by, encoder = 0.0, "", None
    operator = Speak()
    try:
        await operator.open(Context("speak", "speak", "", Path.cwd(), resources))
        with SoundFile(output, form) as file:
            async for audio in operator(Item(request)):
                encoder = encoder or SoundEncoder(form, audio.rate_hz)
                seconds, by = seconds + audio.seconds, f"{audio.voice} of {audio.model}"
                file.write(encoder.push(audio.samples))
            if encoder is not None:
                file.write(encoder.finish())
    finally:
        await close_resources(resources)
    return seconds, by


class SoundFile:
    """A file that is written once there is something to write; at its end a WAV learns its length."""

    def __init__(self, path: Path, form: SoundFormat) -> None:
        self._path = path
        self._form = form
        self._file: BinaryIO | None = None
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        if self._form == "wav":
            self._file.seek(0)
            self._file.write(wav_header(self._bytes - WAV_HEADER_BYTES))
        self._file.close()

    def write(self, data: bytes) -> None:
        """Write more bytes; the first ones make the file."""
        if self._file is None:
            self._file = self._path.open("wb")
        self._bytes += self._file.write(data)
