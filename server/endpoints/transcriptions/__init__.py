"""POST /v1/audio/transcriptions and /v1/audio/translations (OpenAI API 2.3.0).

A form goes in, with the recording as its `file`; the transcript comes out in the form that was asked for, or as
Server-Sent Events while it is written. With `diarized_json` it says who speaks; a stream has its text at once, and the
segments with their speakers when the recording is over. What the engines cannot do (probabilities of words) is refused,
never made up.

`request` describes and decodes the form; `transcript` encodes what was heard.
"""

from __future__ import annotations

from typing import Final

import orjson

from fastembed.pipeline.errors import InvalidInput, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.audio import SpeechEvent, SpeechFile
from fastembed.server.endpoints.transcriptions.request import TRANSCRIPTION, TRANSLATION, TranscriptOptions, decode
from fastembed.server.endpoints.transcriptions.transcript import Transcription
from fastembed.server.wire.event_stream import EventStream, event
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.operation import PipelineEndpoint
from fastembed.server.wire.unknown_fields import UnknownFields


async def answer_transcriptions(exchange: Exchange) -> None:
    """POST /v1/audio/transcriptions."""
    await _answer(exchange, translate=False)


async def answer_translations(exchange: Exchange) -> None:
    """POST /v1/audio/translations: into English."""
    await _answer(exchange, translate=True)


async def _answer(exchange: Exchange, *, translate: bool) -> None:
    form = await exchange.form()
    file, options = decode(form, translate=translate, unknown=UnknownFields.of(exchange.scope))
    with exchange.watched():
        try:
            await (_stream if options.stream else _whole)(exchange, file, options)
        except (UnsupportedMedia, Unprocessable) as error:  # the real API answers both with 400
            raise InvalidInput(error.message, param="file", code="invalid_audio") from error


async def _whole(exchange: Exchange, file: SpeechFile, options: TranscriptOptions) -> None:
    transcription = Transcription(words=options.words, segments=options.segments, speakers=options.diarized)
    async with exchange.submitted(file) as (results,):
        async for found in results:
            transcription.take(found)
        media, body = transcription.encode(options.form)
        await exchange.respond(body, media=media, headers=transcription.headers())


async def _stream(exchange: Exchange, file: SpeechFile, options: TranscriptOptions) -> None:
    """Stream the transcript. Nothing is sent before its first text, so that an error until then has a status."""
    segments = options.segments and options.form == "verbose_json"
    transcription = Transcription(words=options.words, segments=segments, speakers=options.diarized)
    async with EventStream(exchange, transcription.headers) as out, exchange.submitted(file) as (results,):
        async for found in results:
            if data := b"".join(event(orjson.dumps(value)) for value in transcription.take(found)):
                await out.send(data)
        await out.end(b"".join(event(orjson.dumps(value)) for value in transcription.closing()))


TRANSCRIPTIONS: Final = PipelineEndpoint(TRANSCRIPTION, answer_transcriptions, SpeechFile, SpeechEvent)
TRANSLATIONS: Final = PipelineEndpoint(TRANSLATION, answer_translations, SpeechFile, SpeechEvent)
