"""What several integration tests need."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

NOBODY = 65534


@pytest.fixture
def mortal_base() -> Iterator[Path]:
    """Give a folder to a user whom permissions bind: the superuser becomes nobody meanwhile."""
    with TemporaryDirectory() as base:
        user = os.geteuid()
        if user == 0:
            os.chown(base, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(base)
        finally:
            os.seteuid(user)
