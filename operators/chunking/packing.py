"""Packs segments into chunks: whole blocks where they fit, else cut after sentences, rows or lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastembed.operators.chunking.segments import ChunkUnit, Segment

_ENOUGH: Final = 0.5
"""A chunk this full is closed rather than filled with the beginning of a block that fits whole into the next one."""


def pack(segments: Sequence[Segment], room: int, overlap: int) -> list[list[Segment]]:
    """Return the chunks of one section, each of at most `room` tokens unless a single part is larger.

    overlap: up to so many tokens of whole sentences at the end of a chunk are repeated at the start of the next one,
    where prose was cut there.
    """
    packer = _Packer(room, overlap)
    for segment in segments:
        packer.add(segment)
    return packer.finish()


class _Packer:
    """The chunk being filled and those that are full."""

    def __init__(self, room: int, overlap: int) -> None:
        self._room = room
        self._overlap = overlap
        self._chunks: list[list[Segment]] = []
        self._now: list[Segment] = []
        self._used = 0

    def add(self, segment: Segment) -> None:
        size = segment.tokens
        if self._used + size <= self._room:
            self._hold(segment, size)
            return
        if self._used >= self._room * _ENOUGH and (size <= self._room or segment.kind != "prose"):
            self._close()
            if self._used + size > self._room >= size:
                self._drop_overlap()
            if self._used + size <= self._room:
                self._hold(segment, size)
                return
        self._spread(segment)

    def finish(self) -> list[list[Segment]]:
        if _has_content(self._now):
            self._chunks.append(self._now)
        return self._chunks

    def _hold(self, segment: Segment, size: int) -> None:
        self._now.append(segment)
        self._used += size

    def _spread(self, segment: Segment) -> None:
        """Cut a segment over as many chunks as it takes."""
        run: list[ChunkUnit] = []
        size = segment.overhead
        for part in segment.parts:
            if self._used + size + part.tokens > self._room:
                if run:
                    self._hold(segment.run(run), size)
                    run, size = [], segment.overhead
                self._make_room(size + part.tokens)
            run.append(part)
            size += part.tokens
        self._hold(segment.run(run), size)

    def _make_room(self, size: int) -> None:
        """Close the chunk, if it holds anything new; then neither the overlap nor headings may be in the way."""
        if _has_content(self._now):
            self._close()
        if self._used + size > self._room:
            self._drop_overlap()
        if self._used + size > self._room and self._now:
            self._chunks.append(self._now)
            self._start([])

    def _close(self) -> None:
        """End the chunk. Headings at its end go with what they head; sentences at its end are repeated."""
        kept = len(self._now)
        while kept and self._now[kept - 1].kind == "heading":
            kept -= 1
        if not _has_content(self._now[:kept]):
            return  # nothing but headings: they wait for their text
        full, carried = self._now[:kept], self._now[kept:]
        self._chunks.append(full)
        self._start(carried or _tail(full[-1], self._overlap))

    def _start(self, segments: list[Segment]) -> None:
        self._now = segments
        self._used = sum(segment.tokens for segment in segments)

    def _drop_overlap(self) -> None:
        self._start([segment for segment in self._now if not segment.overlap])


def _has_content(segments: Sequence[Segment]) -> bool:
    return any(not segment.overlap for segment in segments)


def _tail(segment: Segment, overlap: int) -> list[Segment]:
    """Return the last whole sentences of a segment, up to `overlap` tokens; none where it is no prose."""
    if segment.kind != "prose":
        return []
    kept: list[ChunkUnit] = []
    for part in reversed(segment.parts):
        if not part.whole or part.tokens + sum(held.tokens for held in kept) > overlap:
            break
        kept.insert(0, part)
    if not kept:
        return []
    return [Segment("prose", tuple(kept), segment.page, listed=segment.listed, overlap=True)]
