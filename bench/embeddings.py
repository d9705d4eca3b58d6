"""How many embeddings a second: the model in process, and the HTTP server beside it in the same run.

    python bench/embeddings.py                      in process only
    python bench/embeddings.py --serve              starts `fastembed serve` on a free port and measures it too
    python bench/embeddings.py --url http://127.0.0.1:8000
    python bench/embeddings.py --static             fixed shapes as an NPU needs them, here on the CPU

In process: one caller, batch 1, 8 and 32 of 20-token texts and of mixed lengths, and 64 callers of one text each, which
is the limit that HTTP is held against. HTTP: 1, 8 and 64 keep-alive connections of a client in its own process, one
20-token text a request, base64 answers; the client takes its share of the same cores, which is printed. Every figure is
the median of `--rounds` rounds of `--seconds`, taken in turns, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import cast
from urllib.parse import urlsplit

from served import served

ROOT = Path(__file__).resolve().parent.parent
TEXT = "the committee met on tuesday to discuss the budget of the coming year and the repairs to the"  # 20 tokens
CORPUS = ROOT / "tests" / "assets" / "embeddings" / "corpus.json"
CLIENTS = (1, 8, 64)
Measure = Callable[[float], Awaitable[float]]


async def in_process(model: object, texts: list[str], callers: int, batch: int, seconds: float) -> float:
    """Return embeddings a second of `callers` that each embed `batch` texts at a time."""
    stop = perf_counter() + seconds
    done = 0

    async def caller(place: int) -> None:
        nonlocal done
        while perf_counter() < stop:
            chosen = [texts[(place + k) % len(texts)] for k in range(batch)]
            place += batch
            await model.embed(chosen)  # type: ignore[attr-defined]  # an EmbeddingModel; imported late
            done += batch

    started = perf_counter()
    await asyncio.gather(*(caller(index * 7) for index in range(callers)))
    return done / (perf_counter() - started)


class Asking(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it has its answer, with as little work as that takes."""

    def __init__(self, request: bytes, stop: float) -> None:
        self.count = 0
        self.ended = asyncio.get_running_loop().create_future()
        self._request = request
        self._stop = stop
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, or a part of one."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self._received = b""
        self.count += b" 200 " in head[:16]
        if b" 200 " not in head[:16]:
            self.ended.set_exception(RuntimeError(f"found {head[:40]!r} {body[:200]!r}, expected 200"))
            self._transport.close()
        elif perf_counter() < self._stop:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the count tells
        """End."""
        if not self.ended.done():
            self.ended.set_result(self.count)


def client_main(url: str, clients: int, seconds: float) -> None:
    """Run in a process of its own: print embeddings a second, and CPU seconds an embedding, as JSON."""
    import uvloop

    address = urlsplit(url)
    body = json.dumps({"model": "auto", "input": TEXT, "encoding_format": "base64"}).encode()
    request = (
        f"POST /v1/embeddings HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body

    async def run() -> tuple[float, float]:
        cpu_s, started = process_time(), perf_counter()
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Asking(request, started + seconds), address.hostname, address.port)
            for _ in range(clients)
        ]
        count = sum(await asyncio.gather(*(asking.ended for _, asking in made)))
        return count / (perf_counter() - started), (process_time() - cpu_s) / count

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run())))


async def over_http(url: str, clients: int, seconds: float, costs_s: list[float]) -> float:
    """Return embeddings a second through the server, measured by a client process; notes its CPU time for each."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--client", url, str(clients), str(seconds)), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
    if process.returncode:
        raise RuntimeError(f"the client process ended with {process.returncode}, expected 0")
    rate, cost_s = json.loads(printed)
    costs_s.append(cost_s)
    return float(rate)


async def measure(measures: dict[str, Measure], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Take all measures in turns."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, one in measures.items():
            found[name].append(await one(seconds))
    return found


async def main(options: argparse.Namespace) -> None:
    """Measure and print a table."""
    sys.path.insert(0, str(ROOT))
    from fastembed.inference.serving.models import Models

    mixed = json.loads(CORPUS.read_text(encoding="utf-8"))
    models = Models(base=ROOT)
    measures: dict[str, Measure] = {}
    costs_s: list[float] = []
    async with models.lend("auto", "embedding") as model, _address(options) as url:
        for kind, texts in (("20 tokens", [TEXT]), ("mixed 3 to 256 tokens", mixed)):
            for callers, batch in ((1, 1), (1, 8), (1, 32), (8, 1), (64, 1)):
                name = f"in process, {callers} callers, batch {batch}, {kind}"
                measures[name] = lambda s, t=texts, c=callers, b=batch: in_process(model, t, c, b, s)
        if url:
            for clients in CLIENTS:
                measures[f"HTTP, {clients} clients, 20 tokens"] = lambda s, c=clients: over_http(url, c, s, costs_s)
        cpu_s, started = process_time(), perf_counter()
        found = await measure(measures, options.rounds, options.seconds)
        busy = (process_time() - cpu_s) / (perf_counter() - started)
    await models.close()
    report(found, busy)
    if costs_s:
        print(f"of these cores the client itself took {statistics.median(costs_s) * 1e6:.0f} us an embedding")


@asynccontextmanager
async def _address(options: argparse.Namespace) -> AsyncIterator[str | None]:
    if options.serve:
        async with served() as url:
            yield url
    else:
        yield options.url


def static_shapes(rounds: int) -> None:
    """Embed the mixed corpus one text at a time: with the window's shape alone, with a few shapes, with any shape."""
    sys.path.insert(0, str(ROOT))
    from fastembed.inference.engines.embedding.engine import EmbeddingEngine
    from fastembed.inference.engines.encoder.engine import static_lengths
    from fastembed.inference.engines.encoder.tokenize import load_tokenizer
    from fastembed.inference.library.devices import Devices

    folder = ROOT / "models" / "minilm"
    rows = load_tokenizer(folder).encode(json.loads(CORPUS.read_text(encoding="utf-8")))
    kinds = {"the window alone": (256,), "a few lengths": static_lengths("NPU", 256), "any length": ()}
    engines = {name: EmbeddingEngine(folder, Devices(), lengths=lengths) for name, lengths in kinds.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for _ in range(rounds + 1):
        for name, engine in engines.items():
            started, cpu_s = perf_counter(), process_time()
            for row in rows:
                engine.infer([row])
            found[name].append((perf_counter() - started, process_time() - cpu_s))
    print(f"{len(rows)} texts of 3 to 256 tokens, one a call   texts/s  CPU ms a text  padding")
    for name, engine in engines.items():
        seconds, cpu_s = (statistics.median(column) for column in zip(*found[name][1:], strict=True))
        rate, each_ms = len(rows) / seconds, cpu_s / len(rows) * 1000
        print(f"{name:<46} {rate:6.0f}  {each_ms:13.2f}  {engine.padding:6.0%}")
        engine.close()


def report(found: dict[str, list[float]], busy: float) -> None:
    """Print the medians, and HTTP's part of the in-process limit."""
    width = max(map(len, found))
    print(f"{'embeddings a second':<{width}}  median     min     max")
    for name, rates in found.items():
        print(f"{name:<{width}}  {statistics.median(rates):6.0f}  {min(rates):6.0f}  {max(rates):6.0f}")
    limit = statistics.median(found["in process, 64 callers, batch 1, 20 tokens"])
    for clients in CLIENTS:
        rates = found.get(f"HTTP, {clients} clients, 20 tokens")
        if rates:
            print(f"HTTP at {clients} clients: {statistics.median(rates) / limit:.2f} of the in-process batched limit")
    print(f"{os.cpu_count()} CPUs; this process used {busy:.2f} of them on average")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client_main(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--url", help="a running server")
        parser.add_argument("--serve", action="store_true", help="start a server for this run")
        parser.add_argument("--static", action="store_true", help="compare fixed shapes, and nothing else")
        parser.add_argument("--seconds", type=float, default=2.0)
        parser.add_argument("--rounds", type=int, default=3)
        chosen = parser.parse_args()
        if chosen.static:
            static_shapes(chosen.rounds)
        else:
            asyncio.run(main(chosen))
