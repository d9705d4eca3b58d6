"""The process of a voice: loads it, speaks what comes over its standard input's socket, ends with that.

Started by `fastembed.inference.engines.voice.model`. Why a process: OpenVINO GenAI 2026.4 holds the interpreter's lock
while it loads Kokoro (ten seconds in which a server would answer nobody), and its memory, more than a gigabyte, is
given back to the last byte.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from fastembed.inference.engines.voice import kokoro, piper
from fastembed.inference.engines.voice.engine import VoiceEngine
from fastembed.inference.engines.voice.wire import LoadVoice, SayPiece, VoiceLoaded
from fastembed.pipeline.processes.framing import pickled, portable, receive

_WARMING = ("Sure.", "Yes, of course, here it is.")


def main(pipe: socket.socket, _argument: object) -> None:
    """Serve until the socket closes."""
    with contextlib.suppress(EOFError, OSError):
        loading: LoadVoice = receive(pipe)
        try:
            engine = open_engine(loading)
            _warm(engine, loading.folder)
        except Exception as error:  # noqa: BLE001 - the process's boundary: whoever asked for the load raises it
            pipe.sendall(pickled(portable(error, "voice")))
        else:
            pipe.sendall(pickled(VoiceLoaded(engine.rate_hz)))
            _serve(pipe, engine)
    os._exit(0)  # nothing here is worth the time and the risk of taking native engines down in order


def open_engine(loading: LoadVoice) -> VoiceEngine:
    """Load the folder's model: a Piper voice, else Kokoro."""
    kind = piper.PiperEngine if piper.model_of(loading.folder) else kokoro.KokoroEngine
    return kind(loading.folder, loading.device, loading.properties)


def _warm(engine: VoiceEngine, folder: Path) -> None:
    """Speak two lengths of text, so that the first request finds memory paged in and kernels made."""
    voices = piper.voices_of(folder) if piper.model_of(folder) else kokoro.voices_of(folder)
    for text in _WARMING:
        engine.speak(text, voices.default, 1.0)


def _serve(pipe: socket.socket, engine: VoiceEngine) -> None:
    while True:
        asked: SayPiece = receive(pipe)
        try:
            answer: object = engine.speak(asked.text, asked.voice, asked.speed).tobytes()
        except Exception as error:  # noqa: BLE001 - the process's boundary: the server says whose fault it is
            answer = portable(error, "voice")
        pipe.sendall(pickled(answer))
