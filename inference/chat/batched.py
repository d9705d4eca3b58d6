"""Continuous batching on a CPU or GPU that never starves the event loop.

Theory of operation. genai's `step()` holds Python's GIL for the whole forward pass, so a thread that steps stops the
event loop; `generate()` releases it, and steps until *no* request is left, also those that were added meanwhile. So:

- A **ride** is one `generate()` call in a thread of its own, started with a one-token prompt (the carrier) and a few
  tokens to answer. It goes on, in C++ and without the GIL, until the last of the requests added meanwhile has ended.
- The **owner** thread adds requests to the ride (`add_request` only queues), reads their tokens from the handles,
  turns them into text, all answers in one call, and wakes the event loop once for all of them. Between reads it sleeps
  a quarter of the time between two tokens, at most 4 ms; new requests and cancellations wake it at once.
- A request that was added just after the ride's last step is an orphan: it is put on the next ride.
- A step that raises ends the ride, and genai drops all its requests. They are tried again, once, each **alone**, so
  that the one at fault fails alone; what an answer had shown becomes part of its prompt, and it goes on from there
  (an answer under a grammar cannot, and fails with Unavailable once it has shown something). A pipeline that says that
  it still runs after that is wedged: it is loaded anew, as is one whose ride makes no progress for `stall_s`.

Measured (2 cores, chat-pocket): loop lag p99 about 1 ms at 32 streams; `bench/chat.py` prints it beside the raw loop.
The price is one token-sized step before the first request of a ride.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from inference.chat.decoding import Decoder, News
from inference.chat.generation import Ended, Generation, Piece, deliver, failed
from inference.chat.ride import Ride, tensor, warmed
from inference.chat.sampling import Defaults
from pipeline.errors import Overloaded, Unavailable

log = logging.getLogger("fastembed.chat")

_FASTEST_S: Final = 0.0005
_SLOWEST_S: Final = 0.004
_BLIND_ROUNDS: Final = 4


class BatchedEngine:
    """Owns one ContinuousBatchingPipeline: loads it, feeds it, loads it anew when it breaks."""

    def __init__(
        self,
        load: Callable[[], Any],
        *,
        device: str,
        room: int,
        most: int = 256,
        stall_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load now: takes seconds, call it off the event loop.

        load: makes the pipeline, also again. room: tokens of the context.
        most: answers at once, waiting ones included. stall_s: no token for so long while answers run is a hang.
        """
        self._load = load
        self._pipeline = warmed(load())
        self.device = device
        self.room = room
        self.longest_prompt = room - 1
        self._defaults = Defaults(self._pipeline.get_config())
        self.decoder = Decoder(self._pipeline.get_tokenizer(), self._defaults.stop_ids)
        self.tells_logprobs = True
        self._most = most
        self._stall_s = stall_s
        self._clock = clock
        self._wake = threading.Condition()
        self._waiting: deque[Generation] = deque()
        self._suspects: deque[Generation] = deque()
        self._live: dict[int, Generation] = {}
        self._boarding: list[Generation] = []
        self._ride: Ride | None = None
        self._closing = False
        self._probe = 0
        self._rounds = 0
        self._beat_s = self._clock()
        self._pace_s = _FASTEST_S * 4
        self.restarts = 0
        self._owner = threading.Thread(target=self._own, name="chat-engine", daemon=True)
        self._owner.start()

    @property
    def busy(self) -> int:
        """Answers that run or wait."""
        return len(self._live) + len(self._boarding) + len(self._waiting) + len(self._suspects)

    def config(self) -> Any:
        """Return a fresh GenerationConfig with the model's own defaults."""
        return self._defaults.fresh()

    def submit(self, generations: Sequence[Generation]) -> None:
        """Begin. Raises Overloaded when too many run and wait, Unavailable after `close`."""
        with self._wake:
            if self._closing:
                raise Unavailable("the chat model is being closed: found a new request, expected none")
            if self.busy + len(generations) > self._most:
                raise Overloaded(
                    f"found {self.busy} answers under way, expected at most {self._most} with these {len(generations)}",
                    retry_after_s=max(1.0, self._pace_s * 100),
                )
            self._waiting.extend(generations)
            self._wake.notify()

    def release(self, generations: Iterable[Generation]) -> None:
        """Cancel those that have not ended."""
        for generation in generations:
            generation.cancel()
        with self._wake:
            self._wake.notify()

    async def close(self) -> None:
        """Fail what runs with Unavailable, free the model."""
        import asyncio

        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._owner.join)

    # The owner's thread from here on.

    def _own(self) -> None:
        while True:
            with self._wake:
                while not (self._closing or self._waiting or self._suspects or self._live or self._ride):
                    self._wake.wait()
                if self._closing:
                    break
            self._turn()
            with self._wake:
                if not self._waiting or self._suspects:
                    self._wake.wait(min(max(self._pace_s / 4, _FASTEST_S), _SLOWEST_S))
        self._shut()

    def _turn(self) -> None:
        """Do one round: look after the ride, put requests on it, read what came."""
        try:
            if self._ride and self._ride.ended.is_set():
                self._alight(self._ride)
            self._board()
            self._read()
            if self._ride and self._live and self._clock() - self._beat_s > self._stall_s:
                self._abandon()
        except Exception as error:  # this thread's boundary: whatever genai raises ends the requests, not the engine
            log.exception("the chat engine failed, it is loaded again")
            self._fail([*self._live.values(), *self._boarding], error)
            self._boarding = []
            self._reload()

    def _board(self) -> None:
        """Put waiting requests on the ride, a suspect alone."""
        with self._wake:
            if self._suspects:
                boarding = [self._suspects.popleft()] if not self._live else []
            else:
                boarding = list(self._waiting)
                self._waiting.clear()
            boarding = [generation for generation in boarding if not generation.cancelled]
            self._boarding = list(boarding)
        if not boarding:
            return
        if self._pipeline is None and not self._revive(boarding):
            return
        if self._ride is None:
            self._ride = Ride(self._pipeline, self.config())
            self._beat_s = self._clock()
        for generation in boarding:
            self._add(generation)
            self._boarding.remove(generation)

    def _add(self, generation: Generation) -> None:
        """Queue one request; one that genai refuses fails alone."""
        try:
            generation.handle = self._pipeline.add_request(generation.id, tensor(generation.prompt), generation.config)
        except RuntimeError as error:
            self._fail([generation], error)
            return
        self._live[generation.id] = generation
        if generation.cancelled:
            generation.handle.cancel()

    def _read(self) -> None:
        """Read every live answer's new tokens and deliver them as text.

        A step gives all of them their tokens at once, so one is asked for all, except every few rounds.
        """
        self._rounds += 1
        probe = self._live.get(self._probe)
        if probe and self._rounds % _BLIND_ROUNDS and _waits(probe):
            return
        news: list[News] = []
        for generation in list(self._live.values()):
            if generation.cancelled:
                self._drop(generation)
                continue
            status = generation.handle.get_status().name  # before reading: what came before it is all there
            fresh = self._drain(generation)
            if status != "RUNNING":
                news.append((generation, fresh, _ending(status, generation.ended)))
                self._drop(generation)
            elif fresh:
                news.append((generation, fresh, None))
                self._probe = generation.id
        if news:
            now = self._clock()
            self._pace_s = 0.8 * self._pace_s + 0.2 * (now - self._beat_s)
            self._beat_s = now
            deliver(self.decoder.pieces(news))

    def _drain(self, generation: Generation) -> list[tuple[int, float]]:
        """Return the (id, logprob) pairs that can be read; note how the answer ends."""
        fresh: list[tuple[int, float]] = []
        try:
            while generation.handle.can_read():
                for output in generation.handle.read().values():
                    fresh += zip(output.generated_ids, output.generated_log_probs, strict=True)
                    if output.finish_reason.name == "LENGTH":  # comes with the last token, maybe before the status
                        generation.ended = "length"
        except RuntimeError:
            if not generation.cancelled:  # reading a cancelled handle raises: the caller has just left
                raise
        return fresh

    def _drop(self, generation: Generation) -> None:
        self._live.pop(generation.id, None)
        generation.handle = None

    def _alight(self, ride: Ride) -> None:
        """Leave a ride that ended: read the rest, try orphans and blameless requests again."""
        self._read()
        self._ride = None
        left = list(self._live.values())
        if ride.error is None:
            self._retry(left, self._waiting)
        else:
            log.error("a step of the chat engine failed with %d answers under way: %s", len(left), ride.error)
            again = [generation for generation in left if generation.resumable]
            self._fail([generation for generation in left if not generation.resumable], ride.error)
            for generation in again:
                generation.attempts += 1
            self._retry(again, self._suspects)
        if not self._quiet():
            self._reload()

    def _retry(self, generations: Sequence[Generation], line: deque[Generation]) -> None:
        """Take requests off and put them at the head of a line, under fresh ids."""
        for generation in reversed(generations):
            self._live.pop(generation.id, None)
            if generation.handle is not None:
                generation.handle.cancel()
            if not generation.cancelled:
                generation.renew()
                with self._wake:
                    line.appendleft(generation)

    def _quiet(self) -> bool:
        """Have cancelled requests swept out; False if the pipeline is wedged."""
        try:
            for _ in range(4):
                if not self._pipeline.has_non_finished_requests():
                    return True
                self._pipeline.step()
        except RuntimeError:
            log.exception("the chat engine is wedged")
        return False

    def _abandon(self) -> None:
        """Leave a ride that hangs to itself."""
        found = f"found no token for {self._stall_s:g} s, expected one"
        log.error("the chat engine hangs: %s; it is loaded again", found)
        self._ride = None
        self._fail([*self._live.values()], RuntimeError(found))
        self._reload()

    def _reload(self) -> None:
        """Forget the pipeline and load it again; if that fails, the next request tries."""
        self._ride = None
        self._pipeline = None
        self.restarts += 1
        try:
            self._pipeline = warmed(self._load())
            self.decoder.tokenizer = self._pipeline.get_tokenizer()
        except Exception:  # whatever OpenVINO raises: the next request tries again and says so
            log.exception("the chat engine cannot be loaded again")

    def _revive(self, boarding: Sequence[Generation]) -> bool:
        self._reload()
        if self._pipeline is None:
            self._fail(boarding, RuntimeError("the model cannot be loaded"))
            self._boarding = []
        return self._pipeline is not None

    def _fail(self, generations: Sequence[Generation], cause: BaseException) -> None:
        """End these with an error that says what the engine said."""
        for generation in generations:
            self._drop(generation)
        deliver([failed(generation, cause) for generation in generations])

    def _shut(self) -> None:
        """End everything; wait for the ride, whose requests are cancelled."""
        running = [*self._live.values(), *self._boarding, *self._waiting, *self._suspects]
        for generation in running:
            generation.cancel()
        closed = Unavailable("the chat model was closed in this answer, expected to finish first")
        deliver([(generation, Piece(generation.index, error=closed)) for generation in running])
        self._live.clear()
        self._waiting.clear()
        self._suspects.clear()
        if self._ride:
            self._ride.ended.wait(10.0)
            self._ride = None
        self._pipeline = None


def _waits(generation: Generation) -> bool:
    """Whether an answer goes on and has nothing new yet."""
    handle = generation.handle
    return not (generation.cancelled or handle.can_read() or handle.get_status().name != "RUNNING")


def _ending(status: str, ended: Ended) -> Ended | Exception:
    """Return how an answer that runs no more has ended."""
    if status == "FINISHED":
        return ended
    if status == "IGNORED":
        return Unavailable("found no room left in the model's cache, expected some: try again, or ask for fewer tokens")
    return Unavailable(f"the chat engine ended this answer with status {status}, expected FINISHED")
