"""Continuous batching on a CPU or GPU, on the event loop of the chat process.

Theory of operation. genai's pipelines are driven from one thread only: adding requests while another thread steps is a
race that crashes. So the engine takes turns with everything else on one event loop. A **turn** adds what waits, steps
once (a forward pass for all answers, which blocks the loop: that is why this lives in a process of its own), reads the
new tokens from the handles, turns them into text, all answers in one call, and puts itself behind what is ready on the
loop by then: readers of the new text, requests that came in, cancellations (some rounds of the loop, since a message
takes as many from its bytes to what it does). Idle, it does nothing.

A step that raises leaves the pipeline unusable more often than not. Its requests are tried again, once, each **alone**,
so that the one at fault fails alone; what an answer had shown becomes part of its prompt, and it goes on from there
(an answer under a grammar cannot, and fails with Unavailable once it has shown something). A pipeline that goes on
raising with nothing left to do is wedged: it is loaded anew, as is one whose steps bring no token for `stall_s`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from fastembed.inference.engines.chat.decoding import Decoder, News
from fastembed.inference.engines.chat.generation import Ended, GeneratedPiece, Generation, failed, nothing, put
from fastembed.inference.engines.chat.native import tensor, unchanged, warmed
from fastembed.inference.engines.chat.sampling import SamplingDefaults
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import Overloaded, Unavailable

log = logging.getLogger("fastembed.chat")

_SWEEPS: Final = 4  # steps in which genai may drop what was cancelled, until it counts as wedged
_TO_BE_READ: Final = 2
"""Rounds of the loop until what came during a step has been read: a step that went first would hold it up once more."""
_TO_BE_DONE: Final = 3
"""Rounds from a message to what it does: its task, what that awaits, its end."""


class BatchedEngine:
    """Owns one ContinuousBatchingPipeline: loads it, feeds it, loads it anew when it breaks. For one event loop."""

    def __init__(
        self,
        load: Callable[[], Any],
        *,
        device: str,
        room: int,
        adjust: Callable[[Any], Any] = unchanged,
        sees: bool = False,
        most: int = 256,
        stall_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load now: takes seconds.

        load: makes the pipeline, also again. room: tokens of the context. adjust: sets what every GenerationConfig of
        this pipeline must say. sees: prompts are texts with pictures.
        most: answers at once, waiting ones included. stall_s: no token for so long while answers run is a hang.
        """
        self._load = load
        self._adjust = adjust
        self._sees = sees
        self._pipeline = self._opened()
        self.device = device
        self.room = room
        self.longest_prompt = room - 1
        self._defaults = SamplingDefaults(self._pipeline.get_config())
        self.decoder = Decoder(self._pipeline.get_tokenizer(), self._defaults.stop_ids)
        self.tells_logprobs = True
        self.before_step: Callable[[], None] = nothing
        self._most = most
        self._stall_s = stall_s
        self._clock = clock
        # A generation is in one of three places: waiting (not yet given to genai), suspect (was in a step that raised;
        # runs again with nothing beside it), live (genai has it, `handle` is set). `_next` is the turn that is planned,
        # if any.
        self._waiting: deque[Generation] = deque()
        self._suspects: deque[Generation] = deque()
        self._live: dict[int, Generation] = {}
        self._next: asyncio.Handle | None = None
        self._closing = False
        self._giving_way = 0
        self._beat_s = self._clock()
        self._pace_s = 0.002  # seconds a step, smoothed; the guess is a small model's, for a 429 before any step
        self.restarts = 0

    @property
    def busy(self) -> int:
        """Answers that run or wait."""
        return len(self._live) + len(self._waiting) + len(self._suspects)

    @property
    def cache_bytes(self) -> int:
        """What the pipeline keeps for contexts; the system gives it the pages as they are written."""
        return int(self._pipeline.get_metrics().kv_cache_size_in_bytes) if self._pipeline else 0

    def config(self) -> Any:
        """Return a fresh GenerationConfig with the model's own defaults."""
        config = self._adjust(self._defaults.fresh())
        config.apply_chat_template = False  # prompts have been through it
        return config

    def submit(self, generations: Sequence[Generation]) -> None:
        """Begin. Raises Overloaded when too many run and wait, Unavailable after `close`."""
        if self._closing:
            raise Unavailable("the chat model is closing and takes no new requests")
        if self.busy + len(generations) > self._most:
            raise Overloaded(
                f"found {self.busy} answers under way, expected at most {self._most} with these {len(generations)}",
                retry_after_s=max(1.0, self._pace_s * 100),
            )
        self._waiting.extend(generations)
        self._plan()

    def release(self, generations: Iterable[Generation]) -> None:
        """Cancel those that have not ended; their places are free after the next step, which has them swept out."""
        for generation in generations:
            generation.cancel()
            self._drop(generation)
            for line in (self._waiting, self._suspects):
                if generation in line:
                    line.remove(generation)
        self._plan()

    async def close(self) -> None:
        """Fail what runs with Unavailable, free the model."""
        self._closing = True
        if self._next:
            self._next.cancel()
        running = [*self._live.values(), *self._waiting, *self._suspects]
        self.release(running)
        closed = Unavailable("the chat model was closed in this answer, expected to finish first")
        put([(generation, GeneratedPiece(generation.index, error=closed)) for generation in running])
        self._pipeline = None

    def give_way(self) -> None:
        """Let what was just asked for, or given up, go its way over the event loop before the next step blocks it."""
        self._giving_way = _TO_BE_DONE

    def _plan(self) -> None:
        """Take a turn after what is ready on the loop now, if there is anything to do."""
        if self._next is None and not self._closing and (self.busy or self._unswept()):
            self._next = asyncio.get_running_loop().call_soon(self._turn)

    def _unswept(self) -> bool:
        """Whether the pipeline holds requests, be they cancelled."""
        return bool(self._pipeline and self._pipeline.has_non_finished_requests())

    def _turn(self) -> None:
        """Admit requests, step, read the new tokens."""
        self._next = None
        if self._giving_way:
            self._giving_way -= 1
            self._plan()
            return
        self.before_step()
        try:
            self._admit()
            if self._live or self._unswept():
                self._step()
        except Exception as error:  # the engine's boundary: whatever genai raises ends the requests, not the engine
            log.exception("the chat engine failed, it is loaded again")
            self._fail(list(self._live.values()), error)
            self._reload()
        self._giving_way = _TO_BE_READ
        self._plan()

    def _step(self) -> None:
        try:
            self._pipeline.step()
        except RuntimeError as error:
            self._recover(error)
            return
        self._read()
        if self._live and self._clock() - self._beat_s > self._stall_s:
            found = f"no token for {self._stall_s:g} s"
            log.error("the chat engine hangs: %s; it is loaded again", found)
            self._fail(list(self._live.values()), RuntimeError(found))
            self._reload()

    def _admit(self) -> None:
        """Add waiting requests; one that may have crashed a step runs alone."""
        # Suspects first, one at a time, and only when nothing runs: if the step raises again, its only passenger did
        # it. The others wait for it, which lasts as long as that one answer; crashes are rare, and blaming is exact.
        if self._suspects:
            admitted = [self._suspects.popleft()] if not self._live else []
        else:
            admitted = list(self._waiting)
            self._waiting.clear()
        if not admitted:
            return
        if self._pipeline is None and not self._revive(admitted):
            return
        if not self._live:
            self._beat_s = self._clock()
        for generation in admitted:
            self._add(generation)

    def _add(self, generation: Generation) -> None:
        """Queue one request; one that genai refuses fails alone."""
        try:
            generation.handle = self._pipeline.add_request(generation.id, *self._prompt(generation), generation.config)
        except Exception as error:  # a request's boundary: what genai and its binding raise has a dozen types
            log.exception("a request cannot be put into the chat engine")
            self._fail([generation], error)
            return
        self._live[generation.id] = generation

    def _prompt(self, generation: Generation) -> tuple[Any, ...]:
        """Return how genai is asked: by token ids, or by the text and its pictures, which are read at once."""
        if generation.seen is None:
            return (tensor(generation.prompt),)
        return generation.seen.text + self.decoder.carried(generation), generation.seen.tensors()

    def _read(self) -> None:
        """Read every live answer's new tokens and deliver them as text."""
        news: list[News] = []
        for generation in list(self._live.values()):
            status = generation.handle.get_status().name
            fresh = _drain(generation)
            if status != "RUNNING":
                news.append((generation, fresh, _ending(status, generation.ended)))
            elif fresh:
                news.append((generation, fresh, None))
        if news:
            now = self._clock()
            self._pace_s = 0.8 * self._pace_s + 0.2 * (now - self._beat_s)
            self._beat_s = now
            put(self.decoder.pieces(news))
        for generation, _, end in news:
            if end is not None:
                self._drop(generation)

    def _drop(self, generation: Generation) -> None:
        self._live.pop(generation.id, None)
        generation.handle = None

    def _recover(self, error: RuntimeError) -> None:
        """After a step that raised: read what came before it, try what can be tried again."""
        # The tokens of the steps before are still in the handles: read, they are the caller's, and part of the prompt
        # that goes on. In reverse, so that `appendleft` keeps the order in which they came.
        self._read()
        left = list(self._live.values())
        log.error("a step of the chat engine failed with %d answers under way: %s", len(left), error)
        self._fail([generation for generation in left if not generation.resumable], error)
        for generation in reversed([generation for generation in left if generation.resumable]):
            generation.attempts += 1
            generation.handle.cancel()
            self._drop(generation)
            generation.renew()
            self._suspects.appendleft(generation)
        if not self._sweep_cancelled():
            self._reload()

    def _sweep_cancelled(self) -> bool:
        """Step until the pipeline has dropped cancelled requests; False if it is wedged."""
        try:
            for _ in range(_SWEEPS):
                if not self._pipeline.has_non_finished_requests():
                    return True
                self._pipeline.step()
        except RuntimeError as error:
            log.warning("the chat engine is wedged, it is loaded again: %s", error)
        return False

    def _reload(self) -> None:
        """Forget the pipeline and load it again; if that fails, the next request tries."""
        self._pipeline = None
        self.restarts += 1
        try:
            self._pipeline = self._opened()
            self.decoder.tokenizer = self._pipeline.get_tokenizer()
        except Exception:  # whatever OpenVINO raises: the next request tries again and says so
            log.exception("the chat engine cannot be loaded again")

    def _opened(self) -> Any:
        with OPENING:
            pipeline = self._load()
        config = self._adjust(pipeline.get_config())
        config.apply_chat_template = False
        return warmed(pipeline, config, sees=self._sees)

    def _revive(self, admitted: Sequence[Generation]) -> bool:
        self._reload()
        if self._pipeline is None:
            self._fail(admitted, RuntimeError("the model cannot be loaded"))
        return self._pipeline is not None

    def _fail(self, generations: Sequence[Generation], cause: BaseException) -> None:
        """End these with an error that says what the engine said."""
        for generation in generations:
            if generation.handle is not None:
                generation.handle.cancel()
            self._drop(generation)
        put([failed(generation, cause) for generation in generations])


def _drain(generation: Generation) -> list[tuple[int, float]]:
    """Return the (id, logprob) pairs that can be read; note how the answer ends."""
    fresh: list[tuple[int, float]] = []
    while generation.handle.can_read():
        for output in generation.handle.read().values():
            fresh += zip(output.generated_ids, output.generated_log_probs, strict=True)
            if output.finish_reason.name == "LENGTH":  # comes with the last token, maybe before the status
                generation.ended = "length"
    return fresh


def _ending(status: str, ended: Ended) -> Ended | Exception:
    """Return how an answer that runs no more has ended."""
    if status == "FINISHED":
        return ended
    if status == "IGNORED":
        return Unavailable("the model's cache is full: try again, or ask for fewer tokens")
    return Unavailable(f"the chat engine ended this answer with status {status}, expected FINISHED")
