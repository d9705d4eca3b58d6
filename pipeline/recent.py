"""A memory of bounded size: what operators remember of keys, which come without end."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping of the `most` keys used last; beyond that the longest unused one is forgotten."""

    __slots__ = ("_entries", "_most")

    def __init__(self, most: int = 100_000) -> None:
        """Remember nothing yet."""
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return what is remembered of a key, which counts as a use; None: nothing."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def set(self, key: K, value: V) -> None:
        """Remember something of a key."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
