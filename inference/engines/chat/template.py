"""Messages become the model's prompt, by the chat template of its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from fastembed.inference.engines.chat.decoding import MARKED, texts_of
from fastembed.inference.engines.chat.native import reason
from fastembed.inference.engines.chat.pictures import with_places, with_tags, without_tags
from fastembed.inference.engines.chat.reasoning import CLOSE, OPEN
from fastembed.inference.engines.chat.schema import deeper
from fastembed.pipeline.errors import InvalidInput, Unprocessable
from fastembed.pipeline.payload.chat import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    TextPart,
    Tool,
    VideoPart,
)

_PROBE: Final = "zebra"
_ADVICE: Final[Mapping[type[Part], tuple[str, str]]] = {
    ImagePart: ("an image", "ask a model that sees"),
    VideoPart: ("a video", "ask a model that sees"),
    AudioPart: ("audio", "ask a model that hears, or its transcript (/v1/audio/transcriptions) as text"),
    DocumentPart: ("a document", "put the step `read` before `generate` in pipelines.yaml, or send its text"),
}


class ChatTemplate:
    """A model's template and its tokenizer. Control tokens inside what users wrote are made plain text first.

    Developer messages count as system messages. Where a template drops system messages that do not come first (they
    would be lost silently), all of them are joined into the first one.
    """

    def __init__(self, tokenizer: Any, model: str, *, sees: bool = False, hears: bool = False) -> None:
        """Read the template and find the control tokens.

        sees: pictures keep their places, as genai's tags. hears: sounds keep theirs, as marks (`sounds.py`).
        """
        self._sees = sees
        self._taken: tuple[type[Part], ...] = (TextPart,)
        self._taken += (ImagePart, VideoPart) if sees else ()
        self._taken += (AudioPart,) if hears else ()
        self._tokenizer = tokenizer
        self._model = model
        self.text: str = tokenizer.chat_template or ""
        self._control = _alternatives(control_tokens(tokenizer))
        self._late_system = bool(self.text) and self._renders_late_system()

    def render(self, request: ChatRequest) -> str:
        """Return the prompt's text. InvalidInput says what the model or its template cannot take."""
        if not self.text:
            raise InvalidInput(
                f"found messages, but {self._model} has no chat template: expected a `prompt` (/v1/completions), or a "
                "chat_template.jinja in the model's folder"
            )
        if not request.messages:
            raise InvalidInput("found no messages, expected at least one", param="messages")
        messages = [self._message(message, place) for place, message in enumerate(request.messages)]
        last, prefill = request.messages[-1], ""
        if last.role == "assistant" and not last.tool_calls and request.continues:
            prefill = self._prefill(request)
            messages.pop()
        if not self._late_system:
            messages = _system_first(messages)
        tools = [_tool(tool) for tool in request.tools] if request.tool_choice != "none" else []
        context = _context(request)
        try:
            text = str(
                self._tokenizer.apply_chat_template(
                    self._plain(messages),
                    True,
                    tools=self._plain(tools) or None,
                    extra_context=self._plain(context) or None,
                )
            )
        except (RuntimeError, TypeError, ValueError) as error:  # the template's complaint, or its binding's
            raise Unprocessable(
                f"found messages that the chat template of {self._model} refuses: {_complaint(error)}", param="messages"
            ) from error
        if prefill:
            text = _answering(text) + prefill
        return with_tags(text) if self._sees else text

    def _prefill(self, request: ChatRequest) -> str:
        """Return the beginning of the answer, the last message's, to go on with. InvalidInput where none can be."""
        last = len(request.messages) - 1
        if not last:
            raise InvalidInput(
                "found only a message of the assistant, expected one of the user before it", param="messages"
            )
        formed = request.json is not None or request.named_tool or request.tool_choice == "required"
        if formed and request.messages[last].text:
            raise InvalidInput(
                "found a last message of the assistant, whose text the answer goes on with, and a form for the answer, "
                "which holds from its beginning: expected one of them",
                param=f"messages[{last}]",
                code="unsupported_value",
            )
        return self.neutral(request.messages[last].text)

    def encode(self, text: str, *, whole: bool = False) -> list[int]:
        """Return token ids. whole: plain text, to which the tokenizer adds what texts start with."""
        ids = self._tokenizer.encode(text, add_special_tokens=whole).input_ids.data[0].tolist()
        return [int(one) for one in ids]

    def bare(self, text: str) -> str:
        """Return a rendered prompt without the token that the tokenizer itself puts in front of every text."""
        first = self._tokenizer.get_bos_token()
        adds = first and len(self.encode("a", whole=True)) > len(self.encode("a"))
        return text.removeprefix(first) if adds else text

    def neutral(self, text: str) -> str:
        """Return the text with a blank inside everything that the tokenizer would read as a control token."""
        if self._sees:
            text = without_tags(text)
        if self._control is None:
            return text
        while self._control.search(text):
            text = self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text

    def _message(self, message: Message, place: int) -> dict[str, Any]:
        for part in message.parts:
            if not isinstance(part, self._taken):
                kind, advice = _ADVICE[type(part)]
                taken, reads = ("text and pictures", "no more") if self._sees else ("text", "text only")
                raise InvalidInput(
                    f"found {kind} in messages[{place}], expected {taken}: {self._model} reads {reads}; {advice}",
                    param=f"messages[{place}].content",
                    code="unsupported_content",
                )
        entry: dict[str, Any] = {
            "role": "system" if message.role == "developer" else message.role,
            "content": with_places(message.parts) if self._sees else message.text,
        }
        if message.name is not None:
            entry["name"] = message.name
        if message.tool_call_id is not None:
            entry["tool_call_id"] = message.tool_call_id
        if message.tool_calls:
            entry["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _object(call.arguments)},
                }
                for call in message.tool_calls
            ]
        return entry

    def _plain(self, value: Any) -> Any:
        """Make every text within plain."""
        if isinstance(value, str):
            return self.neutral(value)
        if isinstance(value, Mapping):
            return {self.neutral(key): self._plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        return value

    def _renders_late_system(self) -> bool:
        turns = [("user", "a"), ("assistant", "b"), ("system", _PROBE), ("user", "c")]
        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            return _PROBE in self._tokenizer.apply_chat_template(messages, True)
        except RuntimeError:
            return False  # it insists on alternating turns


def control_tokens(tokenizer: Any) -> list[str]:
    """Return the tokens that look like marks and that decoding skips: they steer a model, they say nothing."""
    marks = {id_: token for token, id_ in tokenizer.get_vocab().items() if MARKED.match(token)}
    rows = [[id_] for id_ in marks]
    shown = texts_of(tokenizer, rows, special=False, ragged=True) if rows else []
    return [marks[id_].decode("utf-8", "replace") for (id_,), text in zip(rows, shown, strict=True) if not text]


def _alternatives(tokens: Iterable[str]) -> re.Pattern[str] | None:
    ordered = sorted((re.escape(token) for token in tokens), key=len, reverse=True)
    return re.compile("|".join(ordered)) if ordered else None


def _system_first(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join all system messages into one at the beginning."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    if not system:
        return messages
    others = [message for message in messages if message["role"] != "system"]
    return [{"role": "system", "content": "\n\n".join(system)}, *others]


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": _json(parameters)},
    }


def _context(request: ChatRequest) -> dict[str, Any]:
    """Return what templates look for: whether to think, how much, and what the request itself gives them."""
    if request.json is not None:
        return {**request.template, "enable_thinking": False}  # a grammar leaves no place for it
    effort = request.reasoning_effort
    if effort is None:
        return dict(request.template)
    return {"enable_thinking": effort not in ("none", "minimal"), "reasoning_effort": effort, **request.template}


def _answering(prompt: str) -> str:
    """Return a prompt behind which an answer goes on, not the reasoning that some templates begin."""
    return f"{prompt.rstrip()}\n\n{CLOSE}\n\n" if prompt.rstrip().endswith(OPEN) else prompt


def _object(arguments: str) -> Any:
    """Return the arguments as templates want them: an object where the text is one that they can hold.

    Numbers beyond 64 bits, NaN, half surrogates and deep nests are JSON to some; genai's binding raises over them.
    """
    try:
        found = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    return found if isinstance(found, dict) and not deeper(found) else arguments


def _json(value: Any) -> Any:
    """Return plain dicts and lists, as genai's binding takes them."""
    if isinstance(value, Mapping):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_json(one) for one in value]
    return value


def _complaint(error: BaseException) -> str:
    """Return what the template says, without genai's advice."""
    said = str(error).partition("Minja's error:")[2].strip() or reason(error)
    return said.partition("\n")[0][:300]
