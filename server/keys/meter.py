"""What one key may still use: a bucket of requests that fills evenly, and the day's tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fastembed.pipeline.errors import Overloaded
from fastembed.server.keys.usage import UsageLog, midnight_in_s

MINUTE_S: Final = 60.0


@dataclass(slots=True)
class RequestBucket:
    """Holds up to a minute's requests and fills evenly, so that a pause earns a burst and no more. Pure."""

    level: float
    at_s: float

    def take(self, most: int, now_s: float) -> float:
        """Take one request; return 0, or in how many seconds there is one (and none was taken). most: a minute."""
        self.level = min(float(most), self.level + (now_s - self.at_s) * most / MINUTE_S)
        self.at_s = now_s
        if self.level < 1.0:
            return (1.0 - self.level) * MINUTE_S / most
        self.level -= 1.0
        return 0.0


@dataclass(slots=True)
class KeyMeter:
    """Counts what a key's requests use. key: its id. Limits as `IssuedKey` has them."""

    log: UsageLog
    key: str
    name: str
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    bucket: RequestBucket | None = field(default=None)

    def begin(self, now_s: float) -> None:
        """Count a request. Overloaded says which limit is reached, and when there is room. now_s: monotonic."""
        most = self.requests_per_minute
        if most is not None:
            self.bucket = self.bucket or RequestBucket(float(most), now_s)
            if wait_s := self.bucket.take(most, now_s):
                raise Overloaded(
                    f"the key {self.name!r} has used its {most} requests a minute; try again in {wait_s:.1f} s",
                    code="rate_limit_exceeded",
                    retry_after_s=wait_s,
                )
        self.check_tokens()
        self.log.today(self.key, self.name).requests += 1

    def check_tokens(self) -> None:
        """Raise Overloaded if the day's tokens are used up."""
        if self.tokens_per_day is None:
            return
        used = self.used_today()
        if used >= self.tokens_per_day:
            raise Overloaded(
                f"the key {self.name!r} has used {used:,} tokens today, expected at most "
                f"{self.tokens_per_day:,} a day; a new day begins at midnight, UTC",
                code="insufficient_quota",
                retry_after_s=midnight_in_s(self.log.clock()),
            )

    def used_today(self) -> int:
        """Return the tokens of today, in and out."""
        found = self.log.today(self.key, self.name)
        return found.input_tokens + found.output_tokens

    def add_tokens(self, given: int, made: int) -> None:
        """Count tokens that went in and came out."""
        found = self.log.today(self.key, self.name)
        found.input_tokens += given
        found.output_tokens += made
