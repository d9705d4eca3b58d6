"""Which state of the document reader made a document."""

from __future__ import annotations

from typing import Final

READER: Final = "2"
"""Raised by whoever changes what documents are read as: it is part of a pipeline's definition, so that
`fastembed reprocess` finds the files that an older reader read. Nothing is read again by itself."""
