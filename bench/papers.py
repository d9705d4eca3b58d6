"""How soon a dropped document can be found, and how many pages a second go through the whole pipeline.

    .venv/bin/python bench/papers.py [--rounds 5] [--batch 20]

Starts the real server with the built-in pipelines in a folder of its own. Latency: the demo's ten-page handbook, with
other bytes each time, is dropped alone and waited for; the `settle` time of the folder (2 s) is taken off. Throughput:
`--batch` such copies at once, until the last can be searched.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fastembed.demo import ASSETS
from fastembed.demo_server import DemoServer

SETTLE_S = 2.0
PAGES = 10
GOAL_S = 1.5
WITHIN_S = 300.0


def copies(count: int, first: int) -> dict[str, bytes]:
    """Return handbooks that differ in a comment behind their end, which no reader minds."""
    content = (ASSETS / "handbook.pdf").read_bytes()
    return {f"handbook-{number}.pdf": content + b"%% %d\n" % number for number in range(first, first + count)}


def drop(server: DemoServer, files: dict[str, bytes]) -> float:
    """Drop the files at once; return the seconds until all can be searched."""
    start = time.perf_counter()
    for name, content in files.items():
        (server.inbox / name).write_bytes(content)
    while True:
        listed = {entry["name"]: entry["state"] for entry in server.get("/v1/documents")["data"]}
        waited_s = time.perf_counter() - start
        if all(listed.get(name) == "done" for name in files):
            return waited_s
        if waited_s > WITHIN_S or "failed" in listed.values():
            raise TimeoutError(f"found {listed} after {waited_s:.0f} s, expected all done")
        time.sleep(0.02)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="How soon a dropped document can be found.")
    parser.add_argument("--rounds", type=int, default=5, help="documents dropped alone (default 5)")
    parser.add_argument("--batch", type=int, default=20, help="documents dropped at once (default 20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, DemoServer(Path(folder), 0) as server:
        drop(server, copies(1, 0))
        alone = sorted(drop(server, copies(1, number)) - SETTLE_S for number in range(1, options.rounds + 1))
        together = drop(server, copies(options.batch, 1000)) - SETTLE_S
    table = Table(title="documents of ten pages, after they settled", title_justify="left", box=None, pad_edge=False)
    for column in ("", "found", "goal"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("server ready", f"{server.ready_s:.1f} s", "3 s")
    table.add_row("one document, median", f"{statistics.median(alone):.2f} s", f"{GOAL_S} s")
    table.add_row("one document, slowest", f"{alone[-1]:.2f} s", "")
    table.add_row(f"{options.batch} at once", f"{options.batch * PAGES / together:.1f} pages/s", "")
    Console().print(table)


if __name__ == "__main__":
    main()
