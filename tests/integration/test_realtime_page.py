"""docs/realtime.md does what it says."""

import re
from pathlib import Path

from fastembed.assembly import read_configuration
from fastembed.inference.engines.speech.resample import Resampler
from fastembed.inference.library.sections import read_sections
from fastembed.server.realtime import outbox, protocol
from fastembed.sources.websocket import Websocket
from tests.integration.realtime_server import serving
from tests.integration.recordings import LIGHT, samples

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "realtime.md").read_text()
BUILT_IN = ROOT / "fastembed" / "pipelines.yaml"


def snippet(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_example_prints_what_was_said(capsys) -> None:
    names: dict = {}
    exec(compile(snippet("python"), "docs/realtime.md", "exec"), names)  # noqa: S102 - our own page
    resampler = Resampler(16_000, 24_000)
    spoken = [resampler.push(samples("red-light.wav")), resampler.flush()]
    pcm = b"".join((piece * 32_767).astype("<i2").tobytes() for piece in spoken) + bytes(48_000)
    async with serving() as served:
        sentences = await names["transcribe"](f"http://127.0.0.1:{served.port}/v1", pcm)
        await served.settled()
    assert sentences == [LIGHT]
    assert capsys.readouterr().out == f"{LIGHT}\n"


def test_the_models_section_is_right(tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text((BUILT_IN.read_text()) + snippet("yaml"))
    models, _ = read_sections(read_configuration(file).sections)
    assert models["whisper"].on == ("gpu", "cpu")


def test_the_limits_are_those_of_the_components() -> None:
    source = Websocket()
    assert (source._most, source.pending_bytes) == (64, 256 << 10)
    assert (outbox.MAX_BYTES, outbox.MAX_EVENTS) == (1 << 20, 1_024)
    assert protocol.MAX_AUDIO_BYTES == 15 << 20
    assert read_configuration(BUILT_IN).pipelines["transcription"].source.queue.max_seconds == 5.0
