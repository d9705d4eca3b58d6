"""What the tests of the real process share. A module that uses `client` has a fixture `server`."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.e2e.serving import Serving


@pytest.fixture
def client(server: Serving) -> Iterator[openai.OpenAI]:
    """The official client, which tries nothing twice."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as client:
        yield client
