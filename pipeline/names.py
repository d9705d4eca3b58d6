"""Lists of names in messages: the expected ones, and the nearest to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `; did you mean 'chunk'?`, or nothing where no known name is near. cutoff: 0 (any) to 1 (the same)."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


def one_of(names: Iterable[str]) -> str:
    """Return the names for the end of `expected ...`."""
    listed = list(names)
    if len(listed) == 1:
        return listed[0]
    return f"one of {', '.join(listed)}" if listed else "no key at all"


def with_article(role: str) -> str:
    """Return `a source`, `an operator`."""
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"
