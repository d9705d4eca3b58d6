"""A request that failed is kept, and put back at its step: by the server, or by the command when the server is gone."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2

from tests.e2e.serving import fastembed, serving

PLUGIN = """
from pathlib import Path

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import Unprocessable

HERE = Path(__file__).parent


@operator
async def count(order: dict) -> dict:
    with (HERE / "counted").open("a") as file:
        file.write(f"{order['number']}\\n")
    return order


@operator
async def sell(order: dict) -> dict:
    if not (HERE / "open").exists():
        raise Unprocessable("found a closed counter, expected an open one")
    with (HERE / "sold").open("a") as file:
        file.write(f"{order['number']}\\n")
    return {"sold": order["number"]}
"""

PIPELINES = """
version: 1
plugins: [./shop.py]
pipelines:
  shop:
    source: {http: POST /orders}
    operators: [count, sell]
    sink: reply
    on_error: {folder: failed}
"""


def test_a_request_that_failed_goes_on_at_its_step(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PLUGIN)
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    assert fastembed(tmp_path, "check").returncode == 0
    with serving(tmp_path) as server:
        for number in (1, 2):
            assert httpx2.post(f"{server.url}/orders", json={"number": number}).status_code == 422
        rows = httpx2.get(f"{server.url}/v1/documents/failed").json()["data"]
        assert {row["reason"] for row in rows} == {"sell: Unprocessable: found a closed counter, expected an open one"}
        one = next(row["name"] for row in rows if json.loads(Path(row["location"]).read_text()) == {"number": 1})
        (tmp_path / "open").touch()
        answer = httpx2.post(f"{server.url}/v1/documents/replay", json={"names": [one]}).json()["data"]
        assert [(row["name"], row["problem"], row["ended"]) for row in answer] == [(one, "", True)]
        assert (tmp_path / "sold").read_text() == "1\n"
    listed = fastembed(tmp_path, "failed")
    assert (listed.returncode, listed.stdout.count("closed counter")) == (0, 1)
    replayed = fastembed(tmp_path, "replay")
    assert (replayed.returncode, replayed.stdout.endswith(": went through\n")) == (0, True)
    assert (tmp_path / "sold").read_text() == "1\n2\n"
    assert (tmp_path / "counted").read_text() == "1\n2\n"
    again = fastembed(tmp_path, "replay")
    assert (again.returncode, again.stderr) == (1, "found nothing that failed\n")
    assert fastembed(tmp_path, "failed").stderr == "nothing has failed\n"
