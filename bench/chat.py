"""Chat: tokens a second and the first token's time beside genai's raw step loop; lag of the loop; places freed.

    .venv/bin/python bench/chat.py [--model FOLDER] [--device CPU] [--tokens 400] [--rounds 3]

The raw loop adds the same prompts, steps, and reads token ids; it makes no text, and would stop an event loop. Ours
goes the whole way: template, prompt ids, engine, text, stop strings, call parser, events on the event loop, which
meanwhile is asked every 5 ms how late it is; and then over HTTP too, from `fastembed serve` to a client in a process of
its own, as streams. The raw loop runs in this process, ours in its own, in turns. All take a copy of the model whose
answers do not end by themselves. Whoever serves and reads takes its share of the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import aclosing
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

from served import served

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fastembed.inference.engines.chat.folder import blocks, open_batched, read_traits  # noqa: E402
from fastembed.inference.engines.chat.model import ChatModel  # noqa: E402
from fastembed.inference.engines.chat.native import tensor  # noqa: E402
from fastembed.inference.engines.chat.template import ChatTemplate  # noqa: E402
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, Message, Sampling, TextPart  # noqa: E402

STREAMS = (1, 8, 32)
FIRSTS = 21
NEVER = 2**31


def request(text: str, tokens: int) -> ChatRequest:
    """Ask for a greedy answer."""
    sampling = Sampling(temperature=0, max_tokens=tokens)
    return ChatRequest((Message("user", (TextPart(text),)),), sampling=sampling)


def endless(folder: Path, copy: Path) -> Path:
    """Make a copy of a model, by links, whose answers go on to their last token: its end is one that never comes."""
    for file in folder.iterdir():
        (copy / file.name).symlink_to(file.resolve())
    (copy / "generation_config.json").unlink(missing_ok=True)
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": NEVER, "stop_token_ids": [NEVER]}))
    return copy


class Raw:
    """Genai's own loop: add, step, read ids."""

    def __init__(self, folder: Path, device: str, prompts: list[list[int]]) -> None:
        """Load a pipeline of its own."""
        self._pipeline = open_batched(folder, device, {}, blocks(read_traits(folder), None))
        self._prompts = prompts
        self._next = 1

    def run(self, streams: int, tokens: int) -> tuple[float, float]:
        """Return tokens a second, and when each answer had its first token, in ms."""
        started = perf_counter()
        handles = []
        firsts: dict[int, float] = {}
        for place in range(streams):
            config = self._pipeline.get_config()
            config.max_new_tokens = tokens
            handles.append(self._pipeline.add_request(self._next, tensor(self._prompts[place]), config))
            self._next += 1
        count = 0
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for place, handle in enumerate(handles):
                while handle.can_read():
                    count += sum(len(output.generated_ids) for output in handle.read().values())
                    firsts.setdefault(place, perf_counter())
        return count / (perf_counter() - started), (max(firsts.values()) - started) * 1e3


async def ours(model: ChatModel, streams: int, tokens: int) -> tuple[float, float, list[float]]:
    """Return tokens a second, the slowest first token in ms, and the event loop's lags in ms."""
    firsts: list[float] = []
    started = perf_counter()

    async def one(place: int) -> int:
        count, waiting = 0, True
        async for event in model.generate(request(f"hello {place}", tokens)):
            if waiting and isinstance(event, ChatDelta):
                waiting = False
                firsts.append((perf_counter() - started) * 1e3)
            if isinstance(event, ChatFinished):
                count = event.completion_tokens
        return count

    lags: list[float] = []
    ticking = asyncio.create_task(tick(lags))
    counts = await asyncio.gather(*(one(place) for place in range(streams)))
    rate = sum(counts) / (perf_counter() - started)
    ticking.cancel()
    return rate, max(firsts), lags


async def tick(lags: list[float]) -> None:
    """Note how late the event loop is, every 5 ms."""
    while True:
        asked = perf_counter()
        await asyncio.sleep(0.005)
        lags.append((perf_counter() - asked - 0.005) * 1e3)


class Streaming(asyncio.Protocol):
    """One connection that asks for one streamed answer, and looks at what comes just enough to know where it is."""

    def __init__(self, asked: bytes) -> None:
        self.first_s = 0.0
        self.ended = asyncio.get_running_loop().create_future()
        self._asked = asked
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        """Take events."""
        self._tail = self._tail[-64:] + data
        if not self.first_s and b'"content":"' in self._tail.replace(b'"content":""', b""):
            self.first_s = perf_counter()
        if b"data: [DONE]" in self._tail:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - an answer without its end is an error
        """End."""
        whole = b"data: [DONE]" in self._tail
        self.ended.set_result(None) if whole else self.ended.set_exception(RuntimeError(f"broke off: {self._tail!r}"))


def client_main(url: str, streams: int, tokens: int, times: int) -> None:
    """Run in a process of its own: print the medians of tokens a second and of the slowest first token in ms, as JSON.

    times: so often one after the other; the first of several is not counted, a process is slow in what it does first.
    """
    import uvloop

    address = urlsplit(url)

    async def once() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        asked = [_asked(address.netloc, f"hello {place}", tokens) for place in range(streams)]
        started = perf_counter()
        made = await asyncio.gather(
            *(loop.create_connection(partial(Streaming, one), address.hostname, address.port) for one in asked)
        )
        await asyncio.gather(*(stream.ended for _, stream in made))
        took_s = perf_counter() - started
        return streams * tokens / took_s, (max(stream.first_s for _, stream in made) - started) * 1e3

    async def run() -> list[float]:
        found = [await once() for _ in range(times)]
        return [statistics.median(column) for column in zip(*(found[1:] or found), strict=True)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run())))


def _asked(host: str, text: str, tokens: int) -> bytes:
    messages = [{"role": "user", "content": text}]
    asked = {"model": "bench", "messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def over_http(url: str, streams: int, tokens: int, times: int = 1) -> tuple[float, float]:
    """Return tokens a second through the server, and the slowest first token in ms, as a client process sees them."""
    told = [url, str(streams), str(tokens), str(times)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--client", *told), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 600)
    if process.returncode:
        raise RuntimeError(f"the client process ended with {process.returncode}, expected 0")
    rate, first_ms = json.loads(printed)
    return float(rate), float(first_ms)


CONFIGURATION = """
models:
  bench: {{from: {folder}, task: chat, on: [{device}]}}
pipelines:
  chat:
    source: {{http: POST /v1/chat/completions, queue: 256, overflow: reject}}
    operators:
      - generate: {{model: bench}}
    sink: reply
"""


async def cancel_to_free(model: ChatModel, streams: int, tokens: int) -> float:
    """Return the milliseconds from a caller's leaving until the engine says that it is gone."""
    answers = [model.generate(request(f"hello {place}", tokens)) for place in range(streams)]
    for answer in answers:
        async for event in answer:
            if isinstance(event, ChatDelta):
                break
    left = perf_counter()
    await answers[0].aclose()
    while model.process.busy >= streams:  # noqa: ASYNC110 - it is not told, only counted
        await asyncio.sleep(0.0005)
    took = (perf_counter() - left) * 1e3
    for answer in answers:
        await answer.aclose()
    return took


async def main(options: argparse.Namespace) -> None:
    """Measure in turns, print medians."""
    with tempfile.TemporaryDirectory() as copy:
        folder = endless(options.model, Path(copy))
        model = await asyncio.to_thread(ChatModel, "bench", folder, device=options.device)
        from openvino_genai import Tokenizer

        template = ChatTemplate(Tokenizer(str(folder)), "bench")  # the raw loop gets the same ids
        prompts = [template.encode(template.render(request(f"hello {place}", 1))) for place in range(max(STREAMS))]
        raw = Raw(folder, options.device, prompts)
        await compare(options, model, raw)
        await model.close()
        async with served(CONFIGURATION.format(folder=folder, device=options.device.lower())) as url:
            await compare_http(options, url, raw)


async def compare(options: argparse.Namespace, model: ChatModel, raw: Raw) -> None:
    """Measure the model as the server has it, without HTTP."""
    print("streams   raw tokens/s  ours tokens/s  ratio   slowest first token   loop lag p50   p99    max")
    for streams in STREAMS:
        rates, raws, firsts, lags = [], [], [], []
        for _ in range(options.rounds):
            raws.append(raw.run(streams, options.tokens)[0])
            rate, first, found = await ours(model, streams, options.tokens)
            rates.append(rate)
            firsts.append(first)
            lags += found
        lags.sort()
        fastest, slower = statistics.median(raws), statistics.median(rates)
        print(
            f"{streams:7} {fastest:14,.0f} {slower:14,.0f} {slower / fastest:6.2f} {statistics.median(firsts):18.1f} ms"
            f" {lags[len(lags) // 2]:11.1f} ms {lags[int(len(lags) * 0.99)]:5.1f} {lags[-1]:6.1f}"
        )
    freed = sorted([await cancel_to_free(model, 32, 900) for _ in range(10)])
    print(
        f"from a caller's leaving to its free place, 32 streams: median {freed[5]:.1f} ms, at most {freed[-1]:.1f} ms"
    )
    async with aclosing(model.generate(request("hello", 1))) as answer:
        async for _ in answer:
            pass


async def compare_http(options: argparse.Namespace, url: str, raw: Raw) -> None:
    """Measure the whole way to a client's socket."""
    print("streams   raw tokens/s  HTTP tokens/s  ratio   first token raw   over HTTP   more")
    await over_http(url, 1, 8)
    for streams in STREAMS:
        raws, rates, firsts = [], [], []
        for _ in range(options.rounds):
            raws.append(raw.run(streams, options.tokens))
            rates.append(await over_http(url, streams, options.tokens))
        if streams == 1:
            for _ in range(options.rounds):
                here = statistics.median(raw.run(1, 2)[1] for _ in range(FIRSTS))
                firsts.append((here, (await over_http(url, 1, 2, 1 + FIRSTS))[1]))
        fastest, slower = (statistics.median(rate for rate, _ in found) for found in (raws, rates))
        line = f"{streams:7} {fastest:14,.0f} {slower:14,.0f} {slower / fastest:6.2f}"
        if firsts:
            here, there = (statistics.median(column) for column in zip(*firsts, strict=True))
            line += f" {here:13.1f} ms {there:8.1f} ms {there - here:5.1f} ms"
        print(line)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client_main(sys.argv[2], *map(int, sys.argv[3:6]))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "chat-pocket")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
