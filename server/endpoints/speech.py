"""POST /v1/audio/speech (OpenAI API 2.3.0): a text goes in, its sound comes out while it is spoken.

The sound is a file in one of six forms, sent piece by piece (`stream_format` audio), or Server-Sent Events with the
same bytes as base64 (`sse`). Instructions on how to speak are no field of the voices here: they are ignored, and a
header says so.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from fastembed.inference.engines.media.encode import MEDIA_TYPES, SOUND_FORMATS, SoundEncoder, SoundFormat
from fastembed.pipeline.errors import Unprocessable
from fastembed.pipeline.payload.voice import SpeakRequest, SpokenAudio
from fastembed.server.wire.chat.sampling import MODEL
from fastembed.server.wire.event_stream import EventStream, event
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields
from fastembed.server.wire.headers import Headers, header_text, model_headers
from fastembed.server.wire.operation import EVENTS, Operation, PipelineEndpoint
from fastembed.server.wire.schema import Schema, an_object, choice, number, one_of, string
from fastembed.server.wire.unknown_fields import WARNING_HEADER

LONGEST: Final = 100_000
"""Characters of a text; OpenAI takes 4096."""
SLOWEST: Final = 0.25
FASTEST: Final = 4.0
_STREAMS: Final = ("audio", "sse")
_TOKEN_S: Final = 0.05
_BODY: Final[Mapping[str, Schema]] = {
    "input": string("the text, up to 100,000 characters", most=LONGEST),
    "model": MODEL,
    "voice": one_of(string("a name from /v1/audio/voices"), an_object({"id": string()})),
    "response_format": choice(*SOUND_FORMATS),
    "speed": number(SLOWEST, FASTEST, "1 is the voice's own pace"),
    "stream_format": choice(*_STREAMS),
    "instructions": string("ignored: the voices here take none"),
}
OPERATION: Final = Operation(
    "POST",
    "/v1/audio/speech",
    "Read a text aloud",
    body=an_object(_BODY, required=("input",)),
    answer={
        **{media: {"type": "string", "format": "binary"} for media in dict.fromkeys(MEDIA_TYPES.values())},
        EVENTS: an_object(about="speech.audio.delta, speech.audio.done"),
    },
)


@dataclass(frozen=True, slots=True)
class SoundOptions:
    """The form of the answer. warning: for a header, of what had no effect."""

    form: SoundFormat = "mp3"
    events: bool = False
    warning: str = ""


async def answer_speech(exchange: Exchange) -> None:
    """POST /v1/audio/speech."""
    request, options = decode(await exchange.fields())
    with exchange.watched():
        await (_events if options.events else _file)(exchange, request, options)


def decode(fields: Fields) -> tuple[SpeakRequest, SoundOptions]:
    """Return the request, and the form of its answer. InvalidInput names the field."""
    fields.known(OPERATION.fields)
    fields.text("input", most=LONGEST)
    request = SpeakRequest(
        text=fields.needed("input", "a text to read aloud"),
        model=fields.text("model") or "auto",
        voice=_voice(fields),
        speed=fields.number("speed", SLOWEST, FASTEST, default=1.0),
        quick=True,
    )
    ignored = bool(fields.text("instructions"))
    options = SoundOptions(
        form=cast("SoundFormat", fields.choice("response_format", SOUND_FORMATS) or "mp3"),
        events=fields.choice("stream_format", _STREAMS) == "sse",
        warning="instructions: ignored, the voices here take none" if ignored else "",
    )
    return request, options


def _voice(fields: Fields) -> str:
    found = fields.raw("voice")
    if isinstance(found, dict):
        return fields.inner(found, "voice").needed("id", "a voice's name")
    return fields.text("voice", most=200) or ""


async def _file(exchange: Exchange, request: SpeakRequest, options: SoundOptions) -> None:
    """Send the file as it grows. Nothing is sent before its first sound, so that an error until then has a status."""
    sound: _Sound | None = None
    try:
        async with exchange.submitted(request) as (results,):
            async for audio in results:
                first, sound = sound is None, sound or _Sound(options.form, audio)
                data = await sound.take(audio)
                if first and audio.final:
                    media = MEDIA_TYPES[options.form].encode("ascii")
                    await exchange.respond(data, media=media, headers=sound.headers(options))
                    return
                if first:
                    await _begin(exchange, options, sound)
                await exchange.send({"type": "http.response.body", "body": data, "more_body": True})
        if sound is None:
            raise Unprocessable("the pipeline gave no sound: one of its steps filtered the request out")
        await exchange.send({"type": "http.response.body", "body": await sound.end()})
    finally:
        if sound is not None:
            sound.close()


async def _begin(exchange: Exchange, options: SoundOptions, sound: _Sound) -> None:
    exchange.scope["streaming"] = True
    media = MEDIA_TYPES[options.form].encode("ascii")
    headers = [(b"content-type", media), (b"cache-control", b"no-cache"), *sound.headers(options), *exchange.headers()]
    await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})


async def _events(exchange: Exchange, request: SpeakRequest, options: SoundOptions) -> None:
    sound: _Sound | None = None

    def headers() -> Headers:
        return sound.headers(options) if sound is not None else []

    try:
        async with EventStream(exchange, headers) as out, exchange.submitted(request) as (results,):
            async for audio in results:
                sound = sound or _Sound(options.form, audio)
                if data := await sound.take(audio):
                    await out.send(event(_delta(data)))
            if sound is None:
                raise Unprocessable("the pipeline gave no sound: one of its steps filtered the request out")
            rest = await sound.end()
            await out.end((event(_delta(rest)) if rest else b"") + event(orjson.dumps(sound.done(request))))
    finally:
        if sound is not None:
            sound.close()


def _delta(data: bytes) -> bytes:
    return orjson.dumps({"type": "speech.audio.delta", "audio": b64encode(data).decode("ascii")})


class _Sound:
    """The sound of one answer on its way through its encoder, which works in a thread."""

    def __init__(self, form: SoundFormat, first: SpokenAudio) -> None:
        self._encoder: SoundEncoder | None = SoundEncoder(form, first.rate_hz)
        self._model = first.model
        self._voice = first.voice
        self._seconds = 0.0

    async def take(self, audio: SpokenAudio) -> bytes:
        """Return the bytes that a piece makes complete; of the final one all that are left."""
        self._seconds += audio.seconds
        encoder = self._encoder
        if encoder is None:
            return b""
        if audio.final:
            self._encoder = None
            return await asyncio.to_thread(encoder.finish, audio.samples)
        return await asyncio.to_thread(encoder.push, audio.samples)

    async def end(self) -> bytes:
        """Return the bytes that are left where a pipeline's last piece did not say that it was the last."""
        encoder, self._encoder = self._encoder, None
        return await asyncio.to_thread(encoder.finish) if encoder is not None else b""

    def headers(self, options: SoundOptions) -> Headers:
        """Return the headers that say what speaks, and what had no effect."""
        warning = [(WARNING_HEADER, header_text(options.warning))] if options.warning else []
        return [*model_headers(self._model), (b"x-fastembed-voice", header_text(self._voice)), *warning]

    def done(self, request: SpeakRequest) -> dict[str, Any]:
        """Return the last event. Voices read no tokens: characters stand for them, and 50 ms of sound each."""
        taken, given = len(request.text), round(self._seconds / _TOKEN_S)
        usage = {"input_tokens": taken, "output_tokens": given, "total_tokens": taken + given}
        return {"type": "speech.audio.done", "usage": usage}

    def close(self) -> None:
        """Free the encoder of an answer that nobody waits for."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_speech, SpeakRequest, SpokenAudio)
