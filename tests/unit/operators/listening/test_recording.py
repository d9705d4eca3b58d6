import numpy as np

from fastembed.operators.listening.recording import Recording


def test_positions_stay_valid_while_old_samples_are_forgotten() -> None:
    recording = Recording()
    heard = np.arange(200_000, dtype=np.float32)
    for start in range(0, len(heard), 3_000):
        recording.append(heard[start : start + 3_000])
        recording.forget(recording.end - 10_000)
    assert (recording.start, recording.end) == (190_000, 200_000)
    assert np.array_equal(recording.slice(191_000, 199_000), heard[191_000:199_000])


def test_memory_follows_what_is_kept_not_what_was_heard() -> None:
    recording = Recording()
    for _ in range(1_000):
        recording.append(np.zeros(16_000, np.float32))
        recording.forget(recording.end - 4_800)
    assert recording._buffer.nbytes < 400_000


def test_a_slice_is_a_copy_of_what_is_kept() -> None:
    recording = Recording()
    recording.append(np.ones(100, np.float32))
    recording.forget(50)
    piece = recording.slice(0, 100)
    assert len(piece) == 50
    piece[:] = 0
    assert recording.slice(50, 100).all()


def test_memory_shrinks_after_one_long_utterance() -> None:
    recording = Recording()
    recording.append(np.zeros(120 * 16_000, np.float32))
    recording.forget(recording.end)
    for _ in range(600):
        recording.append(np.zeros(16_000, np.float32))
        recording.forget(recording.end)
    assert recording._buffer.nbytes < 400_000
