"""Growing streams of strangers, decoded in a process that can be killed."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.media.streams import StreamDecoder
from fastembed.operators.decode import Decode
from fastembed.pipeline.errors import InvalidInput, Unavailable, UnsupportedMedia
from fastembed.pipeline.payload.audio import AudioBytes, AudioFrame, SpeechProblem
from fastembed.pipeline.testing import item_of
from tests.integration.recordings import AUDIO, encoded, samples

WEBM = (AUDIO / "two-sentences.webm").read_bytes()
SPOKEN = samples("two-sentences.wav")


@pytest.fixture
async def decoder() -> AsyncIterator[StreamDecoder]:
    made = StreamDecoder("webm", 16_000)
    yield made
    await made.close()


async def heard(decoder: StreamDecoder, *messages: bytes) -> np.ndarray:
    pieces = [piece for message in messages for piece in [piece async for piece in decoder.feed(message)]]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


@pytest.mark.parametrize("size", [100, 4_000, len(WEBM)])
async def test_a_recording_is_the_same_however_it_is_cut(decoder: StreamDecoder, size: int) -> None:
    cut = [WEBM[begin : begin + size] for begin in range(0, len(WEBM), size)]
    whole = StreamDecoder("webm", 16_000)
    assert np.array_equal(await heard(decoder, *cut), await heard(whole, WEBM))
    await whole.close()


async def test_what_a_message_makes_audible_comes_with_it(decoder: StreamDecoder) -> None:
    first = await heard(decoder, WEBM[: len(WEBM) // 2])
    rest = await heard(decoder, WEBM[len(WEBM) // 2 :])
    assert len(first) > 0.4 * len(SPOKEN)
    assert abs(len(first) + len(rest) - len(SPOKEN)) < 1_600


async def test_a_message_larger_than_any_socket_goes_through(decoder: StreamDecoder) -> None:
    recording = encoded("two-sentences.wav", "matroska", "pcm_s16le")
    assert len(recording) > 3 * 65_536
    assert len(await heard(decoder, recording)) > 0.9 * len(SPOKEN)


async def test_the_process_is_there_from_the_first_message_to_the_end(decoder: StreamDecoder) -> None:
    before = children()
    await heard(decoder, WEBM[:4_000])
    (own,) = children() - before
    await decoder.close()
    assert own not in children()


async def test_bytes_that_are_no_stream_are_refused_by_name(decoder: StreamDecoder) -> None:
    with pytest.raises(InvalidInput, match="found bytes that are not readable as webm"):
        await heard(decoder, b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 400)


async def test_a_codec_that_no_browser_records_is_not_opened(decoder: StreamDecoder) -> None:
    with pytest.raises(UnsupportedMedia, match="found webm data that is not read here: found 1 channels of ac3"):
        await heard(decoder, encoded("two-sentences.wav", "matroska", "ac3"))


async def test_a_decoder_that_is_killed_is_no_fault_of_the_speaker_and_the_session_goes_on() -> None:
    before = children()

    async def session() -> AsyncIterator:
        yield item_of(AudioBytes(WEBM[:4_000], sniff=True))
        (own,) = children() - before
        os.kill(own, signal.SIGKILL)
        yield item_of(AudioBytes(WEBM[4_000:8_000], sniff=True))
        yield item_of(AudioBytes(WEBM, sniff=True))  # the speaker begins again

    values = [item.value async for item in Decode()(session())]
    (problem,) = [value for value in values if isinstance(value, SpeechProblem)]
    assert (problem.code, problem.status) == ("unavailable", 503)
    assert "ended by SIGKILL over a webm stream" in problem.message
    after = values[values.index(problem) + 1 :]
    assert abs(sum(len(value.samples) for value in after if isinstance(value, AudioFrame)) - len(SPOKEN)) < 1_600
    assert children() == before


async def test_a_machine_that_cannot_start_a_decoder_says_so(
    decoder: StreamDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(Unavailable, match="cannot start a decoder now"):
        await heard(decoder, WEBM)
