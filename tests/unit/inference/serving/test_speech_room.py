"""Live sessions beyond what the machine can hear are told so before they begin."""

import pytest

from fastembed.inference.engines.speech.schedule import Kind, SpeechQueue, Wish
from fastembed.inference.serving.speech.engines import LONGEST_INTERVAL_S, SpeechEngines
from fastembed.pipeline.errors import Unavailable


class Late:
    """An engine that is behind."""

    turn_s = 4.2

    def __init__(self, wait_s: float, queue: SpeechQueue[str] | None = None) -> None:
        self._wait_s = wait_s
        self._queue: SpeechQueue[str] = queue or SpeechQueue(2)

    def wait_s(self) -> float:
        return self._wait_s

    def interval_s(self, newcomers: int = 0) -> float:
        return self._queue.interval_s(0.0, newcomers)


def engines(*waits_s: float, queue: SpeechQueue[str] | None = None) -> SpeechEngines:
    made = SpeechEngines()
    made._open = {str(place): Late(wait_s, queue) for place, wait_s in enumerate(waits_s)}
    return made


def test_there_is_room_while_ends_are_written_down_soon() -> None:
    engines().check_room(0.0)
    engines(0.0, 4.9).check_room(0.0)


def test_busy_engines_say_for_how_long() -> None:
    with pytest.raises(Unavailable, match=r"busy: what is said now would be written down 12 s late") as refused:
        engines(1.0, 11.5).check_room(0.0)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (503, "busy", 12.0)


def test_a_crowd_that_comes_at_once_is_let_in_up_to_what_the_machine_can_hear() -> None:
    """Two cores, 0.1 s a partial, 70 % of the time: 2 s are enough for 28 speakers."""
    crowd = engines(0.0)
    for _ in range(int(LONGEST_INTERVAL_S * 2 * 0.7 / 0.1)):
        crowd.check_room(0.0)
    with pytest.raises(Unavailable, match=r"each speaker would be listened to every"):
        crowd.check_room(1.0)
    crowd.check_room(10.0)


def test_who_speaks_counts_and_who_is_silent_does_not() -> None:
    queue: SpeechQueue[str] = SpeechQueue(2)
    for number in range(40):
        queue.put(Wish(Kind.FIRST, f"u{number}", 3.0, "", speaker=f"s{number}"), -1.0 if number < 30 else -60.0)
    with pytest.raises(Unavailable, match="connect again in 5 s"):
        engines(0.0, queue=queue).check_room(0.0)


def test_a_client_that_comes_back_again_and_again_is_one_speaker() -> None:
    room = engines(0.0)
    for second in range(100):
        room.left(room.check_room(second / 100))
    room.left(0.0)  # long gone: nothing to count out
    room.check_room(1.0)
