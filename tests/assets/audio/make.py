"""Make the test recordings: `python make.py` with flite and espeak-ng installed (Debian packages of those names).

two-sentences.wav   flite's voice rms, 16 kHz
two-sentences.webm  the same as a browser's MediaRecorder sends it: live webm, opus, clusters of 100 ms
red-light.wav       espeak-ng's en-us, 16 kHz: what models/whisper-pocket was trained on
drei-vier-fuenf.wav the same in German: "drei vier fünf"
committee.wav       flite's voice awb, 16 kHz: a sentence for every way in which sound can be bad
"""

import io
import subprocess
import wave
from pathlib import Path

import av
import numpy as np

HERE = Path(__file__).parent
RATE_HZ = 16_000
SENTENCES = ("good morning the quick brown fox jumps over the lazy dog", "please open the window")


def spoken(command: list[str]) -> np.ndarray:
    """Return int16 [n] at 16 kHz of what a synthesiser writes to its standard output as WAV."""
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(io.BytesIO(wav), format="wav") as media:
        frames = [out for frame in media.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])


def flite(text: str) -> np.ndarray:
    """Speak with flite, which writes no WAV to a pipe."""
    path = HERE / "spoken.tmp.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", str(path)], check=True)
    try:
        return spoken(["cat", str(path)])
    finally:
        path.unlink()


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write 16-bit mono."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples.astype("<i2").tobytes())


def write_webm(path: Path, samples: np.ndarray) -> None:
    """Write a live stream: unknown sizes, a cluster every 100 ms."""
    with av.open(str(path), "w", format="webm", options={"live": "1", "cluster_time_limit": "100"}) as media:
        stream = media.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = 24_000
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        resampler, fifo = av.AudioResampler("s16", "mono", 48_000), av.AudioFifo()
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            fifo.write(piece)
        while (piece := fifo.read(960, partial=True)) is not None and piece.samples:
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))


def main() -> None:
    """Make them all."""
    pause = np.zeros(RATE_HZ, np.int16)
    both = np.concatenate([pause[:8000], flite(SENTENCES[0]), pause, flite(SENTENCES[1]), pause])
    write_wav(HERE / "two-sentences.wav", both)
    write_webm(HERE / "two-sentences.webm", both)
    write_wav(HERE / "red-light.wav", spoken(["espeak-ng", "-v", "en-us", "--stdout", "turn on the red light please"]))
    write_wav(HERE / "drei-vier-fuenf.wav", spoken(["espeak-ng", "-v", "de", "--stdout", "drei vier fünf"]))


if __name__ == "__main__":
    main()
