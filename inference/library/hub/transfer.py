"""One file over HTTP, from where it broke off."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx2

from fastembed.inference.library.hub.client import HubUnreachable
from fastembed.inference.library.hub.listing import RemoteFile

_TRIES: Final = 5
"""In a row, without a byte between them."""
_LATER: Final = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST_PAUSE_S: Final = 60.0

Pause = Callable[[float], None]
Report = Callable[[int], None]
"""Told the bytes that a file has now."""


class _Interrupted(Exception):
    """The content ended early; `after_s` is what the hub asks to wait."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        self.after_s = after_s
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Where files come from.

    address: where a file's content is. accept: raises unless the answer, whose body is read, is good. pause: waits
    seconds.
    """

    client: httpx2.Client
    address: Callable[[RemoteFile], str]
    accept: Callable[[httpx2.Response], None]
    pause: Pause

    def fetch(self, part: Path, file: RemoteFile, report: Report) -> None:
        """Append to `part` what it lacks of the file, however often the connection is lost.

        HubRefused: the hub does not give it. HubUnreachable: five tries in a row brought nothing; `part` is kept.
        """
        failures = 0
        while (have := _have(part, file)) < file.size:
            report(have)
            try:
                self._stream(part, have, file, report)
            except (httpx2.TransportError, _Interrupted) as error:
                failures = 0 if _have(part, file) > have else failures + 1
                if failures >= _TRIES:
                    raise _lost(error, _have(part, file), file) from error
                self.pause(getattr(error, "after_s", None) or min(2.0 ** max(failures - 1, 0), _LONGEST_PAUSE_S))
        part.touch()  # an empty file is a file
        report(file.size)

    def _stream(self, part: Path, have: int, file: RemoteFile, report: Report) -> None:
        """Make one request for what is missing and write down what comes."""
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={have}-"} if have else {})
        with self.client.stream("GET", self.address(file), headers=headers) as answer:
            if answer.status_code in _LATER:
                raise _Interrupted(f"status {answer.status_code}", _after(answer))
            if answer.is_error:
                answer.read()
                self.accept(answer)
            resumed = answer.status_code == HTTPStatus.PARTIAL_CONTENT
            if resumed and _start(answer) != have:
                part.unlink()
                raise _Interrupted(f"content from byte {_start(answer)}, not from {have}")
            done = have if resumed else 0  # 200 to a range: this server does not resume
            with part.open("ab" if resumed else "wb") as content:
                for chunk in answer.iter_bytes():
                    done += content.write(chunk[: file.size - done])
                    report(done)
        if done < file.size:
            raise _Interrupted(f"{done} bytes of {file.size}")


def _have(part: Path, file: RemoteFile) -> int:
    size = part.stat().st_size if part.is_file() else 0
    if size <= file.size:
        return size
    part.unlink()  # not a part of this file, whatever wrote it
    return 0


def _start(answer: httpx2.Response) -> int | None:
    found = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
    return int(found[1]) if found else None


def _after(answer: httpx2.Response) -> float | None:
    """Return what Retry-After says in seconds, within reason."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), _LONGEST_PAUSE_S) if text.isdecimal() else None


def _lost(error: Exception, have: int, file: RemoteFile) -> HubUnreachable:
    reason = str(error) or type(error).__name__
    return HubUnreachable(
        f"found {have} bytes of {file.path} when the connection was lost for good ({reason}), expected {file.size}; "
        "run the same command again: it goes on from there"
    )
