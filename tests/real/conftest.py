"""Tests with real weights. What a registry refuses is left out by name; the report says so."""

from __future__ import annotations

import os

import pytest

from tests.real import models

collect_ignore = [models.FILES[name] for name in models.left_out()]


@pytest.fixture(autouse=True)
def kept_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the exact copies of GGUF files between runs, beside the models; compiled models are not kept."""
    monkeypatch.setenv("FASTEMBED_HOME", os.fspath(models.home()))
    monkeypatch.setenv("FASTEMBED_MODELS", os.fspath(models.home() / "models"))
