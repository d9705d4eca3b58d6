"""A chat model in this process: from a request to its events. It lives in the chat process (`worker.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from itertools import chain
from pathlib import Path
from typing import Any

from fastembed.inference.engines.chat.answer import AnswerSplitter
from fastembed.inference.engines.chat.batched import BatchedEngine
from fastembed.inference.engines.chat.calling import style_of
from fastembed.inference.engines.chat.folder import (
    BLOCK_TOKENS,
    POCKET,
    ChatTraits,
    blocks,
    open_batched,
    read_traits,
    with_draft,
)
from fastembed.inference.engines.chat.generation import GeneratedPiece, Generation, Mailbox, TextEngine
from fastembed.inference.engines.chat.options import PLAIN, ChatOptions
from fastembed.inference.engines.chat.pictures import SeenPrompt, pictures_of, untagged
from fastembed.inference.engines.chat.reasoning import OPEN, thinks
from fastembed.inference.engines.chat.resume import NOTHING, BrokenOff, Produced, go_on
from fastembed.inference.engines.chat.sampling import check_likeliest, check_sampling, configure, room_for_answer
from fastembed.inference.engines.chat.sounds import sounds_of, with_sounds
from fastembed.inference.engines.chat.stateful import StatefulEngine
from fastembed.inference.engines.chat.structure import AnswerForm, SchemaGuard, form_of
from fastembed.inference.engines.chat.template import ChatTemplate
from fastembed.inference.engines.sanity import Fault, Garbled
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.folders import BUILT_IN, is_pocket, locate
from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted


class LocalModel:
    """One model; all requests share its batches. Call it on one event loop, which its steps block."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        device: str = "CPU",
        properties: Mapping[str, Any] | None = None,
        cache: int | None = None,
        options: ChatOptions = PLAIN,
    ) -> None:
        """Load: takes seconds. cache: bytes for its contexts, None: as many as it can use."""
        self.name = name
        self.folder = folder
        self.device = device
        self.pocket = is_pocket(folder)
        traits = read_traits(folder)
        self._engine = _engine(folder, traits, device, properties or {}, cache=cache, options=options)
        self.window = traits.window
        guessing = read_traits(options.draft).token_bytes if options.draft else 0
        self.cache_bytes = self._engine.cache_bytes * (traits.token_bytes + guessing) // traits.token_bytes
        self._traits = traits
        self._template = ChatTemplate(self._engine.decoder.tokenizer, name, sees=traits.sees, hears=traits.hears)
        self._style = style_of(self._template.text)
        self._engine.decoder.keeps_marks = self._style.special
        self._thinks = thinks(self._template.text)
        self._guard = SchemaGuard(lambda: _scratch(folder))
        self._closed = False

    @property
    def engine(self) -> TextEngine:
        """The engine that generates."""
        return self._engine

    async def generate(
        self,
        request: ChatRequest,
        *,
        route: str = "",
        so_far: BrokenOff = NOTHING,
        produced: Callable[[Produced], None] = lambda _: None,
    ) -> AsyncGenerator[ChatEvent]:
        """Yield ChatStarted, then the deltas of all choices, interleaved, and one ChatFinished a choice.

        so_far: go on behind it. produced: is told the token ids of a choice just before the events that they bring.
        Closing the iterator cancels what has not ended. Raises InvalidInput (also with the code
        context_length_exceeded), Unprocessable (the template refuses), Overloaded, Unavailable.
        """
        if self._closed:
            raise Unavailable(f"{self.name} is closing and takes no new requests")
        check_sampling(request.sampling, request.count, tells_logprobs=self._engine.tells_logprobs)
        form = await form_of(request, self._style, self._guard)
        text, prompt, seen = self._prompt(request)
        if not prompt:
            raise InvalidInput("found an empty prompt, expected at least one token", param="prompt")
        room = room_for_answer(prompt, request, self._engine.room, self._engine.longest_prompt, self.name)
        mailbox = Mailbox()
        generations = [
            Generation(
                prompt,
                configure(self._engine.config(), request.sampling, room, choice, form.structure),
                mailbox,
                choice,
                seen,
            )
            for choice in range(request.count)
        ]
        if request.sampling.top_logprobs:
            check_likeliest(generations[0].config)
        answers = [self._answer(request, form, text, choice) for choice in range(request.count)]
        pairs = zip(generations, answers, strict=True)
        ended = [go_on(self._engine, *pair, so_far.produced.get(place, ())) for place, pair in enumerate(pairs)]
        running = [place for place in range(request.count) if place not in so_far.finished and not ended[place]]
        self._engine.submit([generations[place] for place in running])
        try:
            yield ChatStarted(self.name, self.device, "pocket" if self.pocket else "", route)
            if request.prompt is not None and request.echo and not so_far.begun:
                for choice in range(request.count):
                    yield ChatDelta(choice, text=request.prompt)
            for place in set(range(request.count)) - so_far.finished - set(running):
                for event in last_events(
                    answers[place], GeneratedPiece(place, ended=ended[place]), len(prompt), answers
                ):
                    yield event
            async with aclosing(self._events(generations, answers, set(running), len(prompt), produced)) as events:
                async for event in events:
                    yield event
        finally:
            self._engine.release(generations)

    async def close(self) -> None:
        """Fail what runs, free the model."""
        self._closed = True
        await self._engine.close()

    def _prompt(self, request: ChatRequest) -> tuple[str, list[int], SeenPrompt | None]:
        """Return the prompt's text and token ids (zeros for pictures), and how a model that sees takes it."""
        text = self._template.render(request) if request.prompt is None else request.prompt
        sounds = sounds_of(request, self._traits.heard_frames) if self._traits.hears else []
        text = with_sounds(text, sounds)
        ids = self._template.encode(untagged(text), whole=request.prompt is not None)
        if not self._traits.sees:
            return text, ids, None
        pictures = pictures_of(request)
        ids += [0] * (self._traits.picture_tokens * len(pictures))
        bare = self._template.bare(text) if request.prompt is None else text
        heard = tuple(chain.from_iterable(sounds)) if self._traits.hears else None
        return text, ids, SeenPrompt(bare, pictures, heard)

    async def _events(
        self,
        generations: list[Generation],
        answers: list[AnswerSplitter],
        running: set[int],
        prompt_tokens: int,
        produced: Callable[[Produced], None],
    ) -> AsyncGenerator[ChatEvent]:
        if not running:
            return
        async with aclosing(generations[0].mailbox.pieces()) as pieces:
            async for piece in pieces:
                if piece.index not in running:
                    continue  # what came after its end
                if piece.error is not None:
                    raise piece.error
                answer = answers[piece.index]
                if piece.tokens:
                    formed = generations[piece.index].config.structured_output_config is not None
                    produced(Produced(piece.index, [token.id for token in piece.tokens], formed))
                for delta in answer.feed(piece.tokens, piece.tail):
                    yield delta
                if not (piece.ended or answer.stopped or answer.fault):
                    continue
                if not piece.ended:
                    self._engine.release([generations[piece.index]])
                running.discard(piece.index)
                for event in last_events(answer, piece, prompt_tokens, answers):
                    yield event
                if not running:
                    return

    def _answer(self, request: ChatRequest, form: AnswerForm, text: str, choice: int) -> AnswerSplitter:
        calls = form.open and bool(request.tools) and (request.tool_choice != "none" or request.named_tool)
        chat = request.prompt is None
        return AnswerSplitter(
            choice,
            stops=request.sampling.stop,
            style=self._style if calls else None,
            forced=form.calls,
            one_call=not request.parallel_tool_calls,
            thinks=self._thinks and chat,
            opened=chat and text.rstrip().endswith(OPEN),
            logprobs=request.sampling.logprobs,
            likeliest=bool(request.sampling.top_logprobs),
        )


def last_events(
    answer: AnswerSplitter, piece: GeneratedPiece, prompt_tokens: int, answers: list[AnswerSplitter]
) -> list[ChatEvent]:
    """Return what ends a choice. Garbled: it is no text."""
    endless = answer.fault is Fault.ENDLESS
    deltas, reason = answer.end("length" if endless else piece.ended or "stop")
    if answer.garbled:
        raise Garbled("found garble in the model's answer, expected text", retry_after_s=1.0)
    finished = ChatFinished(
        piece.index,
        reason,
        prompt_tokens,
        sum(one.tokens for one in answers),
        reasoning_tokens=sum(one.reasoning_tokens for one in answers),
        cut=str(answer.fault) if endless else "",
        stop=answer.stop,
    )
    return [*deltas, finished]


def _engine(
    folder: Path,
    traits: ChatTraits,
    device: str,
    properties: Mapping[str, Any],
    *,
    cache: int | None,
    options: ChatOptions,
) -> TextEngine:
    if traits_of(device).fixed_shapes:
        if traits.hears:  # OpenVINO 2026.4.1 cannot split its graph for an NPU, or crashes over it
            raise RuntimeError(f"found a model that hears on {device}, expected it on a GPU or CPU: on: [gpu, cpu]")
        if options != PLAIN:
            raise RuntimeError(
                f"found draft, prompt_lookup or lora on {device}, expected none: on: [gpu, cpu] takes them"
            )
        return StatefulEngine(folder, device, properties, traits.window, sees=traits.sees)
    if traits.hears:
        if options != PLAIN:
            raise RuntimeError("found draft, prompt_lookup or lora of a model that hears, expected none")
        kv_blocks, kept = blocks(traits, cache), traits.token_bytes * BLOCK_TOKENS
        return StatefulEngine(
            folder, device, properties, traits.window, sees=True, kv_blocks=kv_blocks, cache_bytes=kv_blocks * kept
        )
    kv_blocks = blocks(with_draft(traits, options.draft), cache)
    return BatchedEngine(
        lambda: open_batched(folder, device, options.properties(device, properties), kv_blocks),
        device=device,
        room=min(traits.window, (kv_blocks - 1) * BLOCK_TOKENS),
        adjust=options.adjust,
        sees=traits.sees,
    )


def _scratch(folder: Path) -> Any:
    """Load the smallest model there is, to try schemas on."""
    return open_batched(locate(f"{BUILT_IN}{POCKET}", Path()) or folder, "CPU", {}, 64)
