"""Chat: tokens a second beside genai's raw step loop, lag of the event loop, time until a place is free.

    .venv/bin/python bench/chat.py [--model FOLDER] [--device CPU] [--tokens 400] [--rounds 3]

The raw loop adds the same prompts, steps, and reads token ids; it makes no text, and would stop an event loop. Ours
goes the whole way: template, prompt ids, engine, text, stop strings, call parser, events on the event loop, which
meanwhile is asked every 5 ms how late it is. The raw loop runs in this process, ours in
its own, in turns. Both take a copy of the model whose answers do not end by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inference.chat.folder import blocks, open_batched, read_traits  # noqa: E402
from inference.chat.model import ChatModel  # noqa: E402
from inference.chat.native import tensor  # noqa: E402
from inference.chat.template import ChatTemplate  # noqa: E402
from pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, Message, Sampling, TextPart  # noqa: E402

STREAMS = (1, 8, 32)
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

    def run(self, streams: int, tokens: int) -> float:
        """Return tokens a second."""
        started = perf_counter()
        handles = []
        for place in range(streams):
            config = self._pipeline.get_config()
            config.max_new_tokens = tokens
            handles.append(self._pipeline.add_request(self._next, tensor(self._prompts[place]), config))
            self._next += 1
        count = 0
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for handle in handles:
                while handle.can_read():
                    count += sum(len(output.generated_ids) for output in handle.read().values())
        return count / (perf_counter() - started)


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
        await compare(options, endless(options.model, Path(copy)))


async def compare(options: argparse.Namespace, folder: Path) -> None:
    """Measure a model that does not end."""
    model = await asyncio.to_thread(ChatModel, "bench", folder, device=options.device)
    from openvino_genai import Tokenizer

    template = ChatTemplate(Tokenizer(str(folder)), "bench")  # the raw loop gets the same ids
    prompts = [template.encode(template.render(request(f"hello {place}", 1))) for place in range(max(STREAMS))]
    raw = Raw(folder, options.device, prompts)
    print("streams   raw tokens/s  ours tokens/s  ratio   slowest first token   loop lag p50   p99    max")
    for streams in STREAMS:
        rates, raws, firsts, lags = [], [], [], []
        for _ in range(options.rounds):
            raws.append(raw.run(streams, options.tokens))
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
    await model.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "chat-pocket")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
