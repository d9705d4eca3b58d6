import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from fastembed.inference.engines.vad import FRAME, VoiceModel
from fastembed.operators.vad import Vad
from fastembed.pipeline.component import Context
from fastembed.pipeline.payload.audio import (
    AudioFrame,
    Clear,
    Cleared,
    Commit,
    Committed,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    TurnDetection,
    Utterance,
)
from tests.integration.recordings import samples
from tests.unit.operators.streams import through

SPOKEN = samples("two-sentences.wav")


@pytest.fixture(scope="module")
def model() -> VoiceModel:
    return VoiceModel()


def frames(sound: np.ndarray, size: int = 1_600) -> list[AudioFrame]:
    return [AudioFrame(sound[at : at + size]) for at in range(0, len(sound), size)]


def of(kind: type, values: list) -> list:
    return [value for value in values if isinstance(value, kind)]


async def opened(**options: float) -> Vad:
    vad = Vad(**options)
    await vad.open(Context("p", "vad", "", Path()))
    count = itertools.count(1)
    vad.new_id = lambda: f"u{next(count)}"
    return vad


async def test_two_spoken_sentences_are_two_utterances() -> None:
    out = await through(await opened(), frames(SPOKEN))
    starts = [event.audio_start_ms for event in of(SpeechStarted, out)]
    ends = [event.audio_end_ms for event in of(SpeechStopped, out)]
    assert len(starts) == len(ends) == 2
    assert starts[0] == pytest.approx(500 - 300 + 150, abs=200)
    assert starts[1] - ends[0] > 0
    finals = [event for event in of(Utterance, out) if event.final]
    assert [len(event.samples) for event in finals] == [
        (stop - start) * 16 for start, stop in zip(starts, ends, strict=True)
    ]


async def test_noise_is_not_speech() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, 10 * 16_000).astype(np.float32)
    assert await through(await opened(), frames(noise)) == []


async def test_utterances_do_not_depend_on_the_size_of_the_frames() -> None:
    reference = await through(await opened(), [AudioFrame(SPOKEN)])
    for size in (333, 512, 16_000):
        out = await through(await opened(), frames(SPOKEN, size))
        assert [(type(a), a.utterance_id) for a in out] == [(type(b), b.utterance_id) for b in reference]
        for a, b in zip(of(Utterance, out), of(Utterance, reference), strict=True):
            assert np.array_equal(a.samples, b.samples)


async def test_settings_pass_on_with_the_steps_defaults_in_force() -> None:
    vad = await opened(silence=0.7, threshold=0.6, padding=0.2)
    (settings,) = await through(vad, [SpeechSettings(turn_detection=TurnDetection(threshold=0.4))])
    assert settings.turn_detection == TurnDetection(0.4, 200, 700)


async def test_a_session_that_ends_while_someone_speaks_ends_with_an_utterance() -> None:
    out = await through(await opened(partial=0), frames(SPOKEN[:48_000]))
    assert [type(event) for event in out] == [SpeechStarted, SpeechStopped, Committed, Utterance]
    assert out[-1].end_ms == 3_000


async def test_commits_and_clears_are_answered_in_order() -> None:
    values = [
        SpeechSettings(turn_detection=None),
        *frames(SPOKEN[:16_000]),
        Commit(),
        Commit("again"),
        *frames(SPOKEN[:16_000]),
        Clear(),
    ]
    out = [value for value in await through(await opened(partial=0), values) if not isinstance(value, Utterance)]
    assert [type(value) for value in out] == [SpeechSettings, Committed, SpeechProblem, Cleared]
    assert out[2].ref == "again"


async def test_what_is_not_for_it_passes() -> None:
    problem = SpeechProblem("m", "c")
    assert await through(await opened(), [problem]) == [problem]


def test_a_threshold_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match=r"found threshold 1\.5, expected a probability"):
        Vad(threshold=1.5)


def test_streams_do_not_hear_each_other(model: VoiceModel) -> None:
    heard = [SPOKEN[at : at + FRAME] for at in range(0, 60 * FRAME, FRAME)]
    alone = model.stream()
    expected = [alone.probability(frame) for frame in heard]
    one, other = model.stream(), model.stream()
    found = []
    for frame in heard:
        found.append(one.probability(frame))
        other.probability(frame[::-1])
    assert found == expected
    assert max(expected) > 0.9
    assert min(expected) < 0.1


def test_a_stream_that_is_reset_begins_anew(model: VoiceModel) -> None:
    stream = model.stream()
    first = stream.probability(SPOKEN[:FRAME])
    stream.probability(SPOKEN[20_000 : 20_000 + FRAME])
    stream.reset()
    assert stream.probability(SPOKEN[:FRAME]) == first


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="found no voice activity model at"):
        VoiceModel(tmp_path / "none.onnx")


@pytest.fixture
def without_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path))


@pytest.mark.usefixtures("without_turns")
async def test_an_eagerness_that_nothing_can_serve_is_told_with_the_command_and_changes_nothing() -> None:
    settings = SpeechSettings(turn_detection=TurnDetection(silence_duration_ms=800, eagerness="low"), ref="e1")
    (problem,) = await through(await opened(), [settings])
    assert isinstance(problem, SpeechProblem)
    assert "run `fastembed pull smart-turn`" in problem.message
    assert (problem.code, problem.ref) == ("model_not_found", "e1")


@pytest.mark.usefixtures("without_turns")
async def test_automatic_eagerness_goes_by_silence_where_nothing_can_tell() -> None:
    settings = SpeechSettings(turn_detection=TurnDetection(silence_duration_ms=800, eagerness="auto"))
    out = await through(await opened(), [settings, *frames(SPOKEN), AudioFrame(np.zeros(32_000, np.float32))])
    assert of(SpeechSettings, out)
    assert of(SpeechStopped, out)


def room(length: int, loudness: float = 0.01) -> np.ndarray:
    """Return a room as a microphone hears it: noise with the spectrum of the quietest part of a reader's recording."""
    with av.open(str(Path(__file__).parents[2] / "assets" / "librivox" / "0870.flac")) as media:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        frames_read = [out for frame in media.decode(audio=0) for out in resampler.resample(frame)]
    recording = np.concatenate([frame.to_ndarray()[0] for frame in frames_read])
    power = np.convolve(recording**2, np.ones(3_200), "valid")
    quiet = recording[(begin := int(power.argmin())) : begin + 3_200]
    colour = np.abs(np.fft.rfft(quiet * np.hanning(len(quiet))))
    white = np.fft.rfft(np.random.default_rng(1).normal(0, 1, length))
    found = np.fft.irfft(
        white * np.interp(np.linspace(0, 1, len(white)), np.linspace(0, 1, len(colour)), colour), length
    )
    return (found * (loudness / np.sqrt(np.mean(found**2)))).astype(np.float32)


@pytest.mark.parametrize("loudness", [0.001, 0.01, 0.05])
async def test_a_commit_of_a_room_without_a_voice_has_nothing_to_hear(loudness: float) -> None:
    values = [SpeechSettings(turn_detection=None), *frames(room(64_000, loudness)), Commit()]
    (utterance,) = of(Utterance, await through(await opened(), values))
    assert (utterance.final, len(utterance.samples)) == (True, 0)


async def test_a_commit_of_a_voice_in_a_room_has_all_of_it() -> None:
    spoken = SPOKEN[:64_000] + room(64_000)
    values = [SpeechSettings(turn_detection=None), *frames(spoken), Commit()]
    *_, utterance = of(Utterance, await through(await opened(), values))
    assert utterance.final
    assert np.array_equal(utterance.samples, spoken)
