"""Tests with real weights. What a registry refuses is left out by name; the report says so."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.real import models

collect_ignore = [models.FILES[name] for name in models.left_out()]


@pytest.fixture(autouse=True, scope="module")
def kept_copies() -> Iterator[None]:
    """Keep the exact copies of GGUF files between runs, beside the models; compiled models are not kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTEMBED_HOME", os.fspath(models.home()))
        patch.setenv("FASTEMBED_MODELS", os.fspath(models.home() / "models"))
        yield
