"""Cut a document into pieces small enough to embed, along its own structure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from pydantic import Field

from fastembed.operators.chunking.packing import pack
from fastembed.operators.chunking.sections import Section, path_text, sections_of
from fastembed.operators.chunking.segments import Segment
from fastembed.operators.chunking.tokens import MARKS, Counter, wordpieces
from fastembed.pipeline.component import threaded_operator
from fastembed.pipeline.payload.document import Chunk, Document

_LEAST_TOKENS: Final = 16


@threaded_operator
def chunk(
    document: Document,
    *,
    tokens: Annotated[int, Field(ge=_LEAST_TOKENS)] = 256,
    overlap: Annotated[int, Field(ge=0)] = 32,
) -> Iterator[Document | Chunk]:
    """Cut a document into chunks for embedding: first the document itself, then its chunks in reading order.

    A chunk is cut between blocks if it can be, else after sentences, table rows (the header row and the caption are
    repeated) or lines of code, else between words, never inside one. Sections are not mixed, unless they are so small
    that apart they would say nothing. The first output is the document: a sink learns of one that has no text, too.

    In: `Document`. Out: `Document`, then `Chunk`s with count, headings, pages or seconds and speakers, and token_count;
    then the same for each file within it.

    Args:
        tokens: the most that a chunk may have, its heading path and the model's two marks included, counted with the
            vocabulary of the shipped all-MiniLM-L6-v2. Choose it within the embedding model's window (256 for that
            one): `embed` logs and counts what it has to cut off. Only a single word (of at most 1000 characters, such
            as a long address) that is larger makes a larger chunk; its token_count says so.
        overlap: up to so many tokens of whole sentences are repeated where prose is cut; at most half of `tokens`.

    """
    for part in (document, *(part for part in document.parts if isinstance(part, Document))):
        yield part
        yield from _chunks(part, tokens - MARKS, min(overlap, tokens // 2), wordpieces())


def _chunks(document: Document, budget: int, overlap: int, count: Counter) -> list[Chunk]:
    blocks = [block for block in document.blocks if block.text.strip()]
    made = [
        (section, segments)
        for section in sections_of(blocks, budget, count)
        for segments in pack(section.segments, section.room, overlap)
    ]
    texts = [_text(segments) for _, segments in made]
    sizes = count([_embedded(section, text) for (section, _), text in zip(made, texts, strict=True)])
    return [
        Chunk(
            document=document,
            index=index,
            count=len(made),
            text=text,
            headings=section.headings,
            pages=_pages(segments),
            seconds=_seconds(segments),
            speakers=tuple(dict.fromkeys(segment.speaker for segment in segments if segment.speaker)),
            token_count=size + MARKS,
        )
        for index, ((section, segments), text, size) in enumerate(zip(made, texts, sizes, strict=True))
    ]


def _embedded(section: Section, text: str) -> str:
    return f"{path_text(section.headings)}\n{text}"


def _text(segments: Sequence[Segment]) -> str:
    text = ""
    before: Segment | None = None
    for segment in segments:
        if before is not None:
            text += _between(before, segment)
        text += segment.text
        before = segment
    return text


def _between(before: Segment, segment: Segment) -> str:
    """Return what separates two segments: repeated sentences run on into the rest of their paragraph."""
    if before.overlap and segment.continues and segment.kind == "prose":
        return " "
    return "\n" if before.listed and segment.listed else "\n\n"


def _pages(segments: Sequence[Segment]) -> tuple[int, int] | None:
    """Return the first and last page of what is new in a chunk."""
    pages = [segment.page for segment in segments if segment.page is not None and not segment.overlap]
    return (min(pages), max(pages)) if pages else None


def _seconds(segments: Sequence[Segment]) -> tuple[float, float] | None:
    """Return from when to when is said what is new in a chunk of a recording."""
    times = [segment.seconds for segment in segments if segment.seconds is not None and not segment.overlap]
    return (min(start for start, _ in times), max(end for _, end in times)) if times else None
