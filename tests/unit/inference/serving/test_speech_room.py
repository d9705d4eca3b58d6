"""Live sessions beyond what the machine can hear are told so before they begin."""

import pytest

from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.errors import Overloaded


class Late:
    """An engine that is behind."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    def wait_s(self) -> float:
        return self._wait_s


def engines(*waits_s: float) -> SpeechEngines:
    made = SpeechEngines()
    made._open = {str(place): Late(wait_s) for place, wait_s in enumerate(waits_s)}
    return made


def test_there_is_room_while_ends_are_written_down_soon() -> None:
    engines().check_room()
    engines(0.0, 4.9).check_room()


def test_busy_engines_say_for_how_long() -> None:
    with pytest.raises(Overloaded, match=r"busy: what is said now would be written down 12 s late") as refused:
        engines(1.0, 12.0).check_room()
    assert (refused.value.code, refused.value.retry_after_s) == ("busy", 12.0)
