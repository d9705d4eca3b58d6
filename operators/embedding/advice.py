"""Says once when documents are in a language that their embedding model was not trained on."""

from __future__ import annotations

import logging
from typing import Final

from fastembed.operators.embedding.languages import language_of
from fastembed.pipeline.component import Context
from fastembed.pipeline.health import Health
from fastembed.pipeline.payload.document import Document

log = logging.getLogger("fastembed.embed")

ENGLISH_ONLY: Final = frozenset({"all-MiniLM-L6-v2", "bge-small-en-v1.5"})
_BETTER: Final = "multilingual-e5-small"


class LanguageAdvice:
    """What one pipeline's user is told, once, in the log and beside its state."""

    def __init__(self, context: Context, model: str) -> None:
        """Say nothing yet; `model` makes the vectors."""
        self._health = Health.of(context.resources)
        self._subject = f"pipeline {context.pipeline}"
        self._model = model
        self._waits = model in ENGLISH_ONLY

    def look_at(self, document: Document) -> None:
        """Tell of the first document that is in another language than English."""
        if not self._waits or (language := language_of(document.markdown)) in (None, "English"):
            return
        self._waits = False
        advice = (
            f"{document.file.name} is in {language}, and {self._model} was trained on English: search finds less of "
            f"it. Run `fastembed pull {_BETTER}`, write `models:` and below it `  {_BETTER}: {{from: {_BETTER}}}` into "
            "pipelines.yaml, and `fastembed reembed` what is there"
        )
        log.warning("%s: %s", self._subject, advice)
        self._health.advise(self._subject, advice)
