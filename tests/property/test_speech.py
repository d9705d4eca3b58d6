"""What must hold for any speech, however it is cut on its way."""

import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastembed.inference.engines.speech.agreement import Agreement, split_units
from fastembed.inference.engines.speech.resample import Resampler
from fastembed.operators.decode import SessionDecoder
from fastembed.operators.listening.container import is_no_sound
from fastembed.operators.listening.segmenter import Segmenter, SegmenterLimits
from fastembed.pipeline.payload.audio import AudioBytes, AudioFrame, Commit, SpeechSettings, TurnDetection, Utterance
from fastembed.server.realtime.protocol import Protocol
from tests.unit.operators.listening.loudness import Loudness, numbered, sound

parts = st.lists(st.tuples(st.floats(0.01, 2.0), st.sampled_from([0.0, 0.2, 0.4, 0.9])), min_size=1, max_size=8)
cuts = st.lists(st.integers(1, 20_000), min_size=1, max_size=30)
words = st.lists(
    st.sampled_from(["the", "cat", "sat,", "on", "a", "mat.", "The", "Cat", "你", "好", "zwölf"]), max_size=12
)


def cut(data: Sequence, sizes: list[int]) -> list:
    """Cut into pieces of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def shown(event: object) -> object:
    if isinstance(event, Utterance):
        return (event.utterance_id, event.start_ms, event.end_ms, event.final, event.samples.tobytes())
    return event


def heard(pieces: list[np.ndarray], turns: TurnDetection | None) -> list[object]:
    limits = SegmenterLimits(longest_s=3, longest_manual_s=2, partial_s=0.2)
    segmenter = Segmenter(Loudness(), SpeechSettings(turn_detection=turns), numbered(), limits)
    events = [shown(event) for piece in pieces for event in segmenter.push(piece)]
    return [*events, *map(shown, segmenter.flush())]


@given(parts=parts, sizes=cuts, detect=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_same_audio_gives_the_same_utterances_however_it_is_cut(parts, sizes, detect) -> None:
    turns = TurnDetection(0.5, 300, 500, 1_000) if detect else None
    samples = sound(*parts)
    assert heard(cut(samples, sizes), turns) == heard([samples], turns)


@given(parts=parts, sizes=cuts)
@settings(max_examples=30, deadline=None)
def test_utterances_never_overlap_and_follow_each_other_in_time(parts, sizes) -> None:
    segmenter = Segmenter(
        Loudness(),
        SpeechSettings(turn_detection=TurnDetection(0.5, 300, 300)),
        numbered(),
        SegmenterLimits(longest_s=2),
    )
    events = [event for piece in cut(sound(*parts), sizes) for event in segmenter.push(piece)]
    finals = [event for event in [*events, *segmenter.flush()] if isinstance(event, Utterance) and event.final]
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(finals))
    assert len({final.utterance_id for final in finals}) == len(finals)


@given(seed=st.integers(0, 1_000), sizes=cuts, rate_hz=st.sampled_from([8_000, 24_000, 44_100, 48_000]))
@settings(max_examples=20, deadline=None)
def test_resampling_does_not_depend_on_the_cuts(seed, sizes, rate_hz) -> None:
    samples = np.random.default_rng(seed).random(30_000, dtype=np.float32)
    one, many = Resampler(rate_hz, 16_000), Resampler(rate_hz, 16_000)
    expected = np.concatenate([one.push(samples), one.flush()])
    found = np.concatenate([*[many.push(piece) for piece in cut(samples, sizes)], many.flush()])
    assert np.array_equal(found, expected)


async def decoded(pieces: list[bytes], chosen: SpeechSettings) -> np.ndarray:
    decoder = SessionDecoder(16_000)
    values = [chosen, *[AudioBytes(piece) for piece in pieces]]
    frames = [out async for value in values_of(decoder, values) for out in [value] if isinstance(out, AudioFrame)]
    return np.concatenate([np.empty(0, np.float32), *[frame.samples for frame in frames]])


async def values_of(decoder: SessionDecoder, values: list):
    for value in values:
        async for out in decoder.take(value):
            yield out


@given(
    data=st.binary(max_size=20_000),
    sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=20),
    encoding=st.sampled_from(["pcm16", "pcmu", "pcma"]),
)
@settings(max_examples=20, deadline=None)
async def test_decoding_does_not_depend_on_the_cuts(data, sizes, encoding) -> None:
    chosen = SpeechSettings(format=encoding)
    assume(not is_no_sound(data))  # twelve letters that begin a page or JSON are refused, however they are cut
    assert np.array_equal(await decoded(cut(data, sizes), chosen), await decoded([data], chosen))


@given(passes=st.lists(st.tuples(words, st.integers(1, 4)), max_size=8), last=words)
def test_deltas_concatenate_to_the_transcript_whatever_the_passes_say(passes, last) -> None:
    agreement = Agreement()
    deltas = []
    for said, unsettled in passes:
        deltas.append(agreement.revise(" ".join(said), unsettled))
        assert "".join(deltas) == agreement.text
    deltas.append(agreement.finish(" ".join(last)))
    assert "".join(deltas) == agreement.text
    assert agreement.revise("anything else at all") == ""


@given(passes=st.lists(st.integers(0, 12), max_size=10), said=words)
def test_a_growing_transcript_that_never_changes_is_published_exactly(passes, said) -> None:
    agreement = Agreement()
    text = " ".join(said)
    units = split_units(text)
    for count in sorted(passes):
        agreement.revise("".join(units[:count]))
    agreement.finish(text)
    assert agreement.text == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(
    [
        "session.update",
        "transcription_session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "conversation.item.retrieve",
        "conversation.item.delete",
    ]
)
fields = st.sampled_from(["session", "audio", "item_id", "event_id", "input", "type", "turn_detection", "format", "x"])
client_events = st.builds(
    lambda kind, more: json.dumps({**more, "type": kind}), kinds, st.dictionaries(fields, json_values, max_size=4)
)
sessions = st.builds(
    lambda kind, heard: json.dumps({"type": kind, "session": {"type": "transcription", "audio": {"input": heard}}}),
    kinds,
    st.dictionaries(st.sampled_from(["format", "transcription", "turn_detection", "noise_reduction"]), json_values),
)


@given(texts=st.lists(st.text(max_size=50) | client_events | sessions, max_size=5))
@settings(max_examples=150, deadline=None)
def test_whatever_a_client_says_the_session_answers_or_acts_and_goes_on(texts) -> None:
    protocol = Protocol("sess_1")
    protocol.start()
    for text in texts:
        reaction = protocol.on_text(text)
        assert all(event["type"] in ("error", "conversation.item.deleted") for event in reaction.events)
        assert len(reaction.events) + len(reaction.values) <= 1
    last = protocol.on_text('{"type": "input_audio_buffer.commit", "event_id": "last"}')
    assert last.values == [Commit("last")]
