"""Commands that write down what is said, and say what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastembed.commands.options import Config

commands = typer.Typer()


@commands.command()
def transcribe(
    file: Annotated[
        Path | None,
        typer.Argument(help="A sound file; - reads a pipe.", exists=True, dir_okay=False, allow_dash=True),
    ] = None,
    *,
    microphone: Annotated[bool, typer.Option("--microphone", help="Listen to the microphone until Ctrl-C.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Print words as they come, at the pace of speech.")] = False,
    config: Config = None,
) -> None:
    """Write down what is said in a file, by the same pipeline as /v1/realtime."""
    from fastembed.commands.transcribe import transcribe as run

    if (file is None) is not microphone:
        raise typer.BadParameter("found both or neither, expected a file, - for a pipe, or --microphone")
    raise typer.Exit(run(file, config, follow=follow or microphone))


@commands.command()
def speak(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="A file: .wav, .mp3, .opus, .ogg, .aac, .flac, .pcm.")],
    voice: Annotated[str, typer.Option(help="One of GET /v1/audio/voices; by default the model's own choice.")] = "",
    model: Annotated[str, typer.Option(help="A model that speaks; by default the first that is here.")] = "auto",
    speed: Annotated[float, typer.Option(min=0.25, max=4.0, help="1 is the voice's own pace.")] = 1.0,
    config: Config = None,
) -> None:
    """Read a text aloud into a file. No voice ships: fastembed pull kokoro gets one."""
    from fastembed.commands.speak import speak as run

    raise typer.Exit(run(text, output, config, model=model, voice=voice, speed=speed))
