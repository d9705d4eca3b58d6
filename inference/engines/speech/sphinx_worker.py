"""The process that runs pocketsphinx, which holds Python's global lock for the whole of every call.

Started as a script, in isolation, by `fastembed.inference.engines.speech.sphinx`; it imports nothing of this project.
Frames on standard input and output are a 1-byte kind, a 4-byte little-endian length and that many bytes.

In: `B` begin an utterance (forget the last one), with the cepstral means to start from (see `sphinx.py`). `A` more
audio (signed 16-bit, 16 kHz, mono). `P` ask for the words so far. `E` end the utterance and ask for its words. `C`
cancel: drop what is queued before it.
Out: `R` ready. `W` for each P and E that was not cancelled: JSON, the cepstral means as they are now, and the words,
each [word, start_s, end_s]. `C` for each C.
Ends when standard input does.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
from typing import Any, BinaryIO

SLICE_BYTES = 8_192  # a quarter of a second: cancellation is looked at between slices
FRAME_S = 0.01
HEADER = struct.Struct("<cI")


def main() -> None:
    """Decode what standard input says until it ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else writes to standard output must not reach the protocol
    limit_memory()
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16_000, maxhmmpf=3_000, loglevel="FATAL")
    frames: queue.Queue[tuple[bytes, bytes]] = queue.Queue()
    cancelled = [0]  # cancellations read but not answered yet
    threading.Thread(target=read_frames, args=(sys.stdin.buffer, frames, cancelled), daemon=True).start()
    send(output, b"R", b"")
    Session(decoder, frames, cancelled, output).run()


class Session:
    """The decoder between two frames."""

    def __init__(
        self, decoder: Any, frames: queue.Queue[tuple[bytes, bytes]], cancelled: list[int], output: BinaryIO
    ) -> None:
        self.decoder = decoder
        self.frames = frames
        self.cancelled = cancelled
        self.output = output
        self.open = False

    def run(self) -> None:
        """Follow the frames to their end."""
        while True:
            kind, body = self.frames.get()
            if kind == b"":
                return
            if kind == b"C":
                self.cancelled[0] -= 1
                self.close()
                send(self.output, b"C", b"")
            elif not self.cancelled[0]:
                self.take(kind, body)

    def take(self, kind: bytes, body: bytes) -> None:
        """Do what one frame asks."""
        if kind == b"B":
            self.close()
            self.decoder.set_cmn(body.decode())
            self.decoder.start_utt()
            self.open = True
        elif kind == b"A":
            for start in range(0, len(body), SLICE_BYTES):
                if self.cancelled[0]:
                    return
                self.decoder.process_raw(body[start : start + SLICE_BYTES], False, False)
        elif kind in (b"P", b"E"):
            if kind == b"E":
                self.close()
            answer = {"words": words(self.decoder), "cmn": self.decoder.get_cmn(False)}
            send(self.output, b"W", json.dumps(answer).encode())

    def close(self) -> None:
        """End the utterance, if one is open."""
        if self.open:
            self.open = False
            self.decoder.end_utt()


def words(decoder: Any) -> list[list[object]]:
    """Return [word, start_s, end_s] of the best hypothesis, without silence, noise and pronunciation numbers."""
    if decoder.hyp() is None:
        return []
    found = []
    for segment in decoder.seg():
        word = segment.word
        if word[0] in "<[+":
            continue
        found.append([word.partition("(")[0], segment.start_frame * FRAME_S, (segment.end_frame + 1) * FRAME_S])
    return found


def read_frames(source: BinaryIO, frames: queue.Queue[tuple[bytes, bytes]], cancelled: list[int]) -> None:
    """Queue the frames of standard input; an empty kind is its end."""
    while len(header := source.read(HEADER.size)) == HEADER.size:
        kind, length = HEADER.unpack(header)
        body = source.read(length)
        if kind == b"C":
            cancelled[0] += 1
        frames.put((kind, body))
    cancelled[0] += 1
    frames.put((b"", b""))


def send(output: BinaryIO, kind: bytes, body: bytes) -> None:
    """Write one frame."""
    output.write(HEADER.pack(kind, len(body)) + body)
    output.flush()


def limit_memory() -> None:
    """Let a decoder that runs wild die alone; it needs 96 MB."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


if __name__ == "__main__":
    main()
