"""The caller's end of one request."""

from __future__ import annotations

import pytest

from fastembed.pipeline.errors import Unprocessable
from fastembed.pipeline.item import Outcome
from fastembed.sources.http import Http, Results


async def test_the_one_result_is_the_first() -> None:
    assert await Results.of([3]).one() == 3


async def test_a_request_that_a_step_left_out_is_said_to_be() -> None:
    results: Results[int] = Results()
    results.close(Outcome.FILTERED, None)
    with pytest.raises(Unprocessable, match="the pipeline gave no result"):
        await results.one()


@pytest.mark.parametrize("path", ["/a b", "/a?b", "/a#b", "/a{b}", "/a%20b", "a", "", "/./a", "/a/..", "/a\\b"])
def test_a_path_that_no_request_has_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"found (path|route) '"):
        Http(f"GET {path}")
