"""`fastembed transcribe`: a sound file through the pipeline that serves /v1/realtime, without the server."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import typer

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.commands.live_audio import microphone, piped, until
from fastembed.inference.engines.media.sound import decode_media
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.audio import (
    AudioBytes,
    AudioFrame,
    Commit,
    SpeechProblem,
    SpeechSettings,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
)
from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.pipeline.policy import QueuePolicy
from fastembed.server.observability.logs import configure
from fastembed.sources.websocket import Session, Websocket

_RATE_HZ = 16_000


def transcribe(file: Path | None, config: Path | None, *, follow: bool) -> int:
    """Print what is said, an utterance a line; 1 if a part could not be transcribed.

    file: `-` is standard input, None the microphone; Ctrl-C ends what comes live with what was said until then.
    """
    configure("text", "warning")
    configuration = read_configuration(config)
    plan = speech_pipeline(configuration)
    return asyncio.run(_run(file, replace(configuration, pipelines={plan.name: plan}), plan.name, follow=follow))


def speech_pipeline(configuration: Configuration) -> PipelinePlan:
    """Return the first pipeline whose source is a websocket. ConfigError if there is none.

    Its queue is made to wait: a file has time, and nothing of it may be dropped.
    """
    for plan in configuration.pipelines.values():
        if plan.source.component.factory is Websocket:
            return replace(plan, source=replace(plan.source, queue=QueuePolicy(max_items=64, overflow="block")))
    names = ", ".join(configuration.pipelines) or "none"
    raise ConfigError([f"found the pipelines {names}, expected one with a websocket source that transcribes"])


async def _run(file: Path | None, configuration: Configuration, name: str, *, follow: bool) -> int:
    resources = make_resources(configuration)
    engine = Engine(resources)
    try:
        await engine.start(configuration)
        source: Websocket = engine.pipelines[name].source
        paper = _Paper(follow=follow)
        session = source.connect("file", paper)
        try:
            if file is None or str(file) == "-":
                await _listen(session, piped(sys.stdin.buffer) if file else microphone())
            else:
                await _speak(session, file, follow=follow)
            session.end()
            await session.ended.wait()
        finally:
            session.leave()
        return paper.finish()
    finally:
        await engine.stop()
        await close_resources(resources)


async def _listen(session: Session, sound: AsyncIterator[AudioBytes | AudioFrame]) -> None:
    """Send what comes live, until it ends or Ctrl-C is pressed; pressed again, it ends at once."""
    await session.send(SpeechSettings(rate_hz=_RATE_HZ))
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def interrupted() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    with suppress(NotImplementedError):  # Windows: there Ctrl-C ends it at once
        loop.add_signal_handler(signal.SIGINT, interrupted)
    async for piece in until(stop, sound):
        await session.send(piece)
    await session.send(Commit())  # what a decoder holds back is heard too


async def _speak(session: Session, file: Path, *, follow: bool) -> None:
    """Send the file's sound; with `follow` no faster than it was spoken."""
    await session.send(SpeechSettings(rate_hz=_RATE_HZ))
    loop = asyncio.get_running_loop()
    started_s, spoken_s = loop.time(), 0.0
    async with aclosing(decode_media(file, rate_hz=_RATE_HZ)) as frames:
        async for frame in frames:
            await session.send(frame)
            spoken_s += len(frame.samples) / frame.rate_hz
            if follow:
                await asyncio.sleep(max(0.0, started_s + spoken_s - loop.time()))


class _Paper:
    """The session's `fastembed.pipeline.reply.Reply`: prints the transcript."""

    def __init__(self, *, follow: bool) -> None:
        self._follow = follow
        self._said = 0
        self._failed = 0

    async def send(self, value: object) -> None:
        """Print one result; never waits."""
        self.send_nowait(value)

    def send_nowait(self, value: object) -> bool:
        """Print one result."""
        match value:
            case TranscriptDelta() if self._follow:
                typer.echo(value.text, nl=False)
                sys.stdout.flush()
            case Transcript():
                self._transcript(value)
            case SpeechProblem():
                self._failed += 1
                typer.echo(f"fastembed: {value.message}", err=True)
            case TranscriptFailed():
                self._failed += 1
                typer.echo(f"fastembed: an utterance could not be transcribed: {value.message}", err=True)
        return True

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Print why a message was refused; other outcomes print nothing."""
        if error is not None and outcome is not Outcome.CANCELLED:
            self._failed += 1
            typer.echo(f"fastembed: {error}", err=True)

    def finish(self) -> int:
        """Return the exit status."""
        if not self._said and not self._failed:
            typer.echo("no speech found", err=True)
        return int(self._failed > 0)

    def _transcript(self, value: Transcript) -> None:
        if not self._said:
            typer.echo(f"by {value.model}", err=True)
        self._said += 1
        typer.echo("" if self._follow else f"[{_clock(value.start_ms)}] {value.text}")


def _clock(milliseconds: int) -> str:
    """Write a time as `1:05.3`."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}:{rest / 1000:04.1f}"
