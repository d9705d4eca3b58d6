"""A chat model in a process of its own, as the server sees it: asked, followed, and started again when it dies.

Why a process. genai's `step()` holds Python's GIL for a whole forward pass, so a thread that steps stops the event
loop; its `generate()` does not, but adding requests to it from another thread is a race that ends in a crash now and
then. In a process of its own one thread does both in turn, and whatever native code does there, the server lives on.

Requests under way when their process dies are asked again, twice at most, of the next one, which goes on where an
answer broke off (`resume.py`); what cannot go on fails with Unavailable. A process that gives no sign of life for
`stall_s` while it has work is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from fastembed.inference.engines.chat.resume import AnswerProgress, Produced
from fastembed.inference.engines.chat.wire import AskChat, CancelChat, ChatLoaded, ChatOver, LoadChat, News
from fastembed.pipeline.errors import ItemError, Unavailable
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest, ChatStarted
from fastembed.pipeline.processes.awaiting import read
from fastembed.pipeline.processes.framing import ask, pickled
from fastembed.pipeline.processes.starter import ChildProcess

log = logging.getLogger("fastembed.chat")

_RUNS: Final = 3
"""A request that was there when three processes died is taken for the reason: asking a fourth would cost all others."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 10.0
_LIVED_S: Final = 60.0
"""A process that lived so long did not die of its start: the next one is started after the first pause again."""
_POLITE_S: Final = 5.0
"""What a process that is told to end gets until it is killed."""
_ids: Final = itertools.count(1)


class ChatChild(ChildProcess):
    """One chat process, from its start to its end. cache_bytes: what it keeps for contexts."""

    def __init__(self, loading: LoadChat) -> None:
        """Start it: milliseconds. `load` must follow, `end` at last."""
        super().__init__("fastembed.inference.engines.chat.worker")
        self.loading = loading
        self.cache_bytes = 0

    def load(self) -> None:
        """Have it load the model: seconds, so in a thread. Raises what the load raises."""
        try:
            answer: ChatLoaded | Exception = ask(self.pipe, self.loading)
        except (EOFError, OSError) as error:
            raise Unavailable(
                f"the chat process {self.end()} while it loaded {self.loading.name}",
                retry_after_s=1.0,
            ) from error
        if isinstance(answer, Exception):
            self.end()
            raise answer
        self.cache_bytes = answer.cache


class _PendingChat:
    """One request under way, and what came of it."""

    def __init__(self, request: ChatRequest, route: str, progress: AnswerProgress) -> None:
        self.id = next(_ids)
        self.runs = 0
        self.left = False
        self._request = request
        self._route = route
        self._progress = progress
        self._started = False
        self._events: deque[ChatEvent | ChatOver] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def frame(self) -> bytes:
        """Return the message that asks for what is missing yet."""
        return pickled(AskChat(self.id, self._request, self._route, self._progress.so_far()))

    def put(self, event: ChatEvent | Produced | ChatOver) -> None:
        """Note what came; what a second run says of its start has been said."""
        if not isinstance(event, ChatOver):
            self._progress.note(event)
        if isinstance(event, Produced):
            return
        if isinstance(event, ChatStarted):
            if self._started:
                return
            self._started = True
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def events(self) -> AsyncGenerator[ChatEvent]:
        """Yield until it is over; raise what it ended with."""
        while True:
            while self._events:
                event = self._events.popleft()
                if not isinstance(event, ChatOver):
                    yield event
                elif event.error is not None:
                    raise event.error
                else:
                    return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class ChatProcess:
    """A chat process that is always there. Start it off the event loop, then call it on one event loop only.

    restarts: how often it had to be started again.
    """

    def __init__(self, loading: LoadChat) -> None:
        """Start the process and wait for its model: seconds. Raises what loading raises."""
        self._loading = loading
        self._stall_s = loading.stall_s
        self._child = ChatChild(loading)
        self._child.load()
        # The states of the process, by what is set:
        #     loaded    `_following` is None: no request yet, there may be no event loop
        #     serving   `_writer` is set: requests go out at once
        #     dead      `_writer` is None, `_following` runs: it waits out the pause and starts the next; requests
        # gather
        #               in `_asked`, with `runs` as it was, and are sent when `_follow` has a writer again
        #     closed    `_closed`: the task is cancelled, the process ended
        # A request is in `_asked` from `generate` until its `ChatOver` has come, whatever becomes of processes
        # meanwhile.
        self._asked: dict[int, _PendingChat] = {}
        self._following: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._closed = False
        self._stalled = False
        self._sign_s = 0.0
        self._wanted = asyncio.Event()
        self.restarts = 0

    @property
    def busy(self) -> int:
        """Requests under way."""
        return len(self._asked)

    @property
    def pid(self) -> int:
        """The present process's id."""
        return self._child.pid

    @property
    def cache_bytes(self) -> int:
        """What the present process keeps for contexts, whether anything is in it or not."""
        return self._child.cache_bytes

    async def generate(
        self, request: ChatRequest, route: str = "", progress: AnswerProgress | None = None
    ) -> AsyncGenerator[ChatEvent]:
        """Yield a request's events as they come, of those that `progress` knows only the start once more.

        progress: how far the answer has come elsewhere; it is kept up to date. Raises what the model raises,
        Unavailable when its process dies too often.
        """
        if self._closed:
            raise Unavailable(f"{self._loading.name} is closing and takes no new requests")
        loop = asyncio.get_running_loop()
        if self._following is None:
            self._following = loop.create_task(self._follow_all(), name="chat process")
        asked = _PendingChat(request, route, progress or AnswerProgress())
        if not self._asked:
            self._sign_s = loop.time()
        self._asked[asked.id] = asked
        self._wanted.set()
        self._ask(asked)
        events = asked.events()
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
            if asked.id in self._asked:  # not over: the caller leaves
                asked.left = True
                self._leave(asked)

    async def close(self) -> None:
        """Fail what runs with Unavailable, end the process."""
        if self._closed:
            return
        self._closed = True
        self._fail(list(self._asked.values()), "the chat model was closed in this answer, expected to finish first")
        if self._following is not None:
            self._following.cancel()
            if self._writer is None:  # it is being started: nothing is lost
                self._child.kill()
            await asyncio.wait([self._following])
        await asyncio.to_thread(self._child.end, _POLITE_S)

    def _ask(self, asked: _PendingChat) -> None:
        """Send a request if a process is there; otherwise the next one gets it as it starts."""
        if self._writer is not None:
            asked.runs += 1
            self._writer.write(asked.frame())

    def _leave(self, asked: _PendingChat) -> None:
        # Asked already: it stays in `_asked` until the process confirms with `ChatOver`, so that `busy` counts the
        # place that the engine still holds. Not asked, or its process is gone: no confirmation will come.
        if asked.runs and self._writer is not None:
            self._writer.write(pickled(CancelChat(asked.id)))
        else:
            del self._asked[asked.id]

    async def _follow_all(self) -> None:
        """Follow one process after the other until `close`."""
        loop, pause_s = asyncio.get_running_loop(), _FIRST_PAUSE_S
        while True:
            began_s = loop.time()
            try:
                await self._follow(self._child)
            finally:
                self._writer = None
            # Reaped first: only a process that is surely gone may be followed by one that takes the same memory.
            ended = await asyncio.to_thread(self._child.end)
            if self._stalled:
                ended = f"gave no sign of life for {self._stall_s:g} s and was ended"
            self._stalled = False
            log.error("the chat process %s with %d requests under way; it is started again", ended, self.busy)
            self._drop_unrecoverable(ended)
            pause_s = _FIRST_PAUSE_S if loop.time() - began_s > _LIVED_S else min(pause_s * 2, _LONGEST_PAUSE_S)
            pause_s = await self._start_again(pause_s)

    async def _follow(self, child: ChatChild) -> None:
        """Hand on what a process says until it is gone."""
        reader, writer = await asyncio.open_unix_connection(sock=child.pipe)
        self._writer = writer
        loop = asyncio.get_running_loop()
        self._sign_s = loop.time()
        # After a crash: everybody who waits is asked again, with what came of the answer so far as its beginning.
        for asked in self._asked.values():
            self._ask(asked)
        watching = loop.create_task(self._watch(child))
        try:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    news: News = await read(reader)
                    self._sign_s = loop.time()
                    for id_, event in news:
                        self._note(id_, event)
        finally:
            watching.cancel()
            self._writer = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _note(self, id_: int, event: ChatEvent | Produced | ChatOver) -> None:
        asked = self._asked.get(id_)
        if asked is not None:
            asked.put(event)
            if isinstance(event, ChatOver):
                del self._asked[id_]

    async def _watch(self, child: ChatChild) -> None:
        """Kill a process that has work and gives no sign of life."""
        # Any message is a sign of life, also one for another request: a long prompt is worked on for seconds without a
        # token of its own. Killing ends the pipe, so `_follow` returns as it does after a crash.
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._stall_s / 4)
            if self._asked and loop.time() - self._sign_s > self._stall_s:
                self._stalled = True
                child.kill()

    def _drop_unrecoverable(self, ended: str) -> None:
        """Fail the requests that the next process cannot be given again: their callers left, or they ran too often."""
        for asked in [asked for asked in self._asked.values() if asked.left]:
            del self._asked[asked.id]
        lost = [asked for asked in self._asked.values() if asked.runs >= _RUNS]
        self._fail(lost, f"the chat process {ended} in this answer, expected to finish first; it is started again")

    async def _start_again(self, pause_s: float) -> float:
        """Start a process that loads the model; return the last pause. If it cannot, the next request has it tried."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + pause_s
        while True:
            await asyncio.sleep(due_s - loop.time())
            self.restarts += 1
            self._child = ChatChild(self._loading)
            try:
                await asyncio.to_thread(self._child.load)
            except Exception as error:  # whatever the load raises: those who wait are told, and it is tried again
                log.exception("the chat process cannot load its model again")
                # what is not ours may hold paths and names of this machine: the log has it
                why = error.message if isinstance(error, ItemError) else f"it failed ({type(error).__name__})"
                self._fail(list(self._asked.values()), f"the chat model cannot be loaded again: {why}")
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                due_s = loop.time() + pause_s
                # Nobody waits any more, so nobody needs it: a model that cannot be loaded (its files are gone, memory
                # is short) is not tried in a loop, but when somebody asks.
                self._wanted.clear()
                await self._wanted.wait()
            else:
                return pause_s

    def _fail(self, requests: list[_PendingChat], said: str) -> None:
        for asked in requests:
            asked.put(ChatOver(Unavailable(said, retry_after_s=1.0)))
            self._asked.pop(asked.id, None)
