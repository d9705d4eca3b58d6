"""How many realtime sessions a core carries, and how long after its end a sentence is complete.

    .venv/bin/python bench/sessions.py [--sessions 1 4 8]

Starts the real server with the built-in pipelines; each session is a client thread that streams the demo's spoken call
as fast as it was spoken. Processor time is that of the server and its workers, from /proc.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fastembed.demo import ASSETS, word_recall
from fastembed.demo_call import Call, stream_call
from fastembed.demo_server import DemoServer

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def processor_s(pid: int) -> float:
    """Return the processor seconds that a process and its descendants have used."""
    ticks = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_A_SECOND


def run_sessions(server: DemoServer, count: int) -> tuple[list[Call], float]:
    """Stream the call `count` times at once; return what was heard, and the server's processor seconds."""
    before = processor_s(server.pid)
    with ThreadPoolExecutor(count) as threads:
        calls = list(
            threads.map(
                lambda _: stream_call(server.websocket_url, ASSETS / "morning-call.wav", lambda _: None), range(count)
            )
        )
    return calls, processor_s(server.pid) - before


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="How many realtime sessions a core carries.")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4, 8], help="sessions at once (default 1 4 8)")
    options = parser.parse_args()
    expected = (ASSETS / "morning-call.txt").read_text(encoding="utf-8")
    table = Table(title="realtime sessions", title_justify="left", box=None, pad_edge=False)
    for column in ("sessions", "words right", "complete after, median", "slowest", "core a session", "sessions a core"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder, DemoServer(Path(folder), 0) as server:
        for count in options.sessions:
            start = time.perf_counter()
            calls, used_s = run_sessions(server, count)
            delays = sorted(delay for call in calls for delay in call.delays_s)
            recalls = [word_recall(expected, " ".join(call.transcripts)) for call in calls]
            share = used_s / (count * calls[0].audio_s)
            table.add_row(
                str(count),
                f"{min(recalls):.0%}",
                f"{statistics.median(delays):.2f} s",
                f"{delays[-1]:.2f} s",
                f"{share:.2f}",
                f"{1 / share:.1f}",
            )
            print(f"{count} sessions of {calls[0].audio_s:.1f} s took {time.perf_counter() - start:.1f} s")
    print(f"speech engine: {calls[0].model}")
    Console().print(table)


if __name__ == "__main__":
    main()
