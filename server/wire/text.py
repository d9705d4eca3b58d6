"""Sizes and names for people to read."""

from __future__ import annotations


def format_size(size_bytes: int | None) -> str | None:
    """Write bytes as `22.6MB`, `5.8GB`; None stays None."""
    if size_bytes is None:
        return None
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - the next unit
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"


def printable(text: str) -> str:
    """Escape what would not stay on its line, or would command a terminal: names of files may hold anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
