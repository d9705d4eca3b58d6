"""Fields that an endpoint does not have: ignored and reported in a response header, or refused.

Clients written for other servers send fields that OpenAI's API does not have (`top_k`, `input_type`, ...), and expect
an answer. So the default is to ignore such a field and to name it in `x-fastembed-warning`. A misspelt field is not one
of them: silently computing 1024 dimensions for somebody who asked for 256 helps nobody. A name that is almost a known
one is therefore refused under either rule.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

from starlette.types import Scope

from fastembed.server.wire.headers import header_text

UnknownFieldRule = Literal["ignore", "reject"]

WARNING_HEADER: Final = b"x-fastembed-warning"
MAX_IGNORED: Final = 64
"""How many unknown fields a request may have: each is compared with every known one, on the event loop."""
_MAX_NAMED: Final = 16
"""How many ignored fields the header names."""
_MAX_NAME: Final = 80
_KEY: Final = "fastembed.unknown_fields"

_BUDGETS: Final = ((16, 3.5), (10, 2.5), (6, 1.5), (4, 1.0))
"""From the length of a known name to the edits after which another name still counts as a typo of it."""
_SHORT: Final = 3
"""Names of so few letters are typos of nothing: `top` is one letter from `stop`."""
_SUBSTITUTION: Final = 1.5
"""A wrong letter costs more than a missing, doubled or swapped one: `top_k` and `min_tokens` are names of their own in
other servers, not typos of `top_p` and `max_tokens`."""


class UnknownFields:
    """The unknown fields of one request. reject: whether they are refused instead of ignored."""

    __slots__ = ("ignored", "reject")

    def __init__(self, *, reject: bool = False) -> None:
        self.reject = reject
        self.ignored: list[str] = []

    @classmethod
    def of(cls, scope: Scope) -> UnknownFields:
        """Return the collector of this request: the gateway put it there, and reports what it has collected."""
        found = scope.get(_KEY)
        return found if isinstance(found, cls) else cls()

    def attach(self, scope: Scope) -> None:
        """Make this the collector of the request."""
        scope[_KEY] = self

    def header(self) -> tuple[bytes, bytes]:
        """Return the response header that names the ignored fields."""
        names = ", ".join(self.ignored[:_MAX_NAMED])
        if (more := len(self.ignored) - _MAX_NAMED) > 0:
            names += f" and {more} more"
        return WARNING_HEADER, header_text(f"ignored unknown fields: {names}")

    def meant(self, name: str, found: Mapping[str, object], known: Collection[str]) -> str | None:
        """Return the known field that an unknown one is to be refused for; None: it may be ignored.

        "" if it is refused and resembles nothing. A field that is there itself was not meant by another one.
        """
        typo = typo_of(name, (other for other in sorted(known) if other not in found))
        if not self.reject:
            return typo
        return typo or next(iter(difflib.get_close_matches(name[:_MAX_NAME], sorted(known), n=1)), "")

    def ignore(self, place: str) -> bool:
        """Note an ignored field; False: the request has too many of them."""
        self.ignored.append(place[-_MAX_NAME:])
        return len(self.ignored) <= MAX_IGNORED


def typo_of(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is most likely a typo of, if it is any's: `dimension`, `maxTokens`, `modle`."""
    # Unlike difflib's ratio, which takes `min_tokens` for `max_tokens` and `user_id` for `user`, edits are counted, and
    # how many are forgiven depends on the length of the known name.
    bare = _bare(name)
    best, least = None, float("inf")
    for other in known:
        if _bare(other) == bare:  # maxTokens, max-tokens, MAX_TOKENS
            return other
        budget = next((edits for length, edits in _BUDGETS if len(other) >= length), 0.0) if len(name) > _SHORT else 0.0
        if abs(len(name) - len(other)) <= budget and (cost := _distance(name, other)) <= min(budget, least - 0.1):
            best, least = other, cost
    return best


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _distance(left: str, right: str) -> float:
    """Return the weighted edit distance with swaps of neighbours (optimal string alignment)."""
    before: list[float] = []
    row = [float(place) for place in range(len(right) + 1)]
    for i, a in enumerate(left, 1):
        last, row, previous = row, [float(i)], before
        before = last
        for j, b in enumerate(right, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (0 if a == b else _SUBSTITUTION))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
    return row[-1]
