import numpy as np
import pytest

from fastembed.inference.engines.media.downmix import Downmix

VOICE = np.sin(np.arange(4_000) / 5).astype(np.float32) * 0.5
NOISE = np.random.default_rng(0).normal(0, 0.05, 4_000).astype(np.float32)


def mixed(*channels: np.ndarray) -> np.ndarray:
    return Downmix().push(np.stack(channels, axis=1))


def test_equal_channels_give_their_mean() -> None:
    assert np.allclose(mixed(VOICE, VOICE), VOICE, atol=1e-6)


def test_a_channel_upside_down_is_turned() -> None:
    assert np.allclose(mixed(VOICE, -VOICE), VOICE, atol=1e-6)


def test_a_silent_channel_takes_nothing_from_the_shape() -> None:
    assert np.allclose(mixed(0 * VOICE, VOICE), VOICE / 2, atol=1e-6)


def test_of_a_voice_and_a_noise_the_voice_is_left() -> None:
    found = mixed(VOICE, NOISE)
    assert np.abs(found - VOICE / 2).max() < 0.01


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_nothing_is_louder_than_it_was(channels: int) -> None:
    loud = np.random.default_rng(1).uniform(-1, 1, (4_000, channels)).astype(np.float32)
    assert np.abs(Downmix().push(loud)).max() <= 1.0


def test_when_the_other_channel_speaks_the_mix_turns_to_it_within_a_piece() -> None:
    downmix = Downmix()
    downmix.push(np.stack([VOICE, 0 * VOICE], axis=1))
    turning = downmix.push(np.stack([0 * VOICE, VOICE], axis=1))
    turned = downmix.push(np.stack([0 * VOICE, VOICE], axis=1))
    assert np.abs(turning[:20]).max() < 0.01  # it fades in
    assert np.abs(turning[-100:]).max() > 0.2
    assert np.abs(turned).max() == pytest.approx(0.25, abs=0.01)


def test_nothing_is_nothing() -> None:
    assert len(Downmix().push(np.empty((0, 2), np.float32))) == 0
