"""`fastembed chat`: a conversation in the terminal, or one question of a script."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import typer

from fastembed.commands.chat_parts import part_of
from fastembed.commands.server import asked_server, reason
from fastembed.pipeline.errors import ConfigError, FastEmbedError
from fastembed.server.wire.text import printable

if TYPE_CHECKING:
    from fastembed.client import SyncFastEmbedClient

_HELP: Final = """\
/file PATH    show the next question a picture, document, sound or video
/model NAME   ask another model from now on
/clear        begin anew
/exit         end (or Ctrl-D); Ctrl-C ends an answer"""


@dataclass(frozen=True, slots=True)
class TalkSettings:
    """What the command line says of the conversation. files: shown with the first question."""

    model: str = "auto"
    system: str = ""
    files: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None

    def fields(self) -> dict[str, Any]:
        """Return the request's fields that were given."""
        given = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        return {name: value for name, value in given.items() if value is not None}


def chat(
    prompt: str, options: TalkSettings, *, as_json: bool, config: Path | None, url: str, api_key: str | None
) -> int:
    """Answer one question (given, piped, or both) and end; on a terminal without one, talk until Ctrl-D."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    question = "\n\n".join(text for text in (prompt, piped) if text)
    if not question and not sys.stdin.isatty():
        raise ConfigError(["found no question, expected one: fastembed chat 'What is ...?', or piped input"])
    with asked_server(url, api_key, config) as client:
        talk = Conversation(client, options)
        if not question:
            return _talk(talk)
        if as_json:
            typer.echo(orjson.dumps(talk.whole(question), option=orjson.OPT_INDENT_2))
        else:
            _print(talk.answer(question))
    return 0


class Conversation:
    """What was said so far. A question that got no answer is not remembered."""

    def __init__(self, client: SyncFastEmbedClient, options: TalkSettings) -> None:
        """Begin with what the options show."""
        self.model = options.model
        self.answered_by = ""
        self._client = client
        self._fields: Any = options.fields()
        self._system: list[Any] = [{"role": "system", "content": options.system}] if options.system else []
        self._messages: list[Any] = []
        self._parts = [part_of(name) for name in options.files]

    def show(self, name: str) -> None:
        """Show a file with the next question. FastEmbedError: it cannot be read."""
        self._parts.append(part_of(name))

    def clear(self) -> None:
        """Forget what was said and shown."""
        self._messages, self._parts = [], []

    def answer(self, question: str) -> Iterator[str]:
        """Yield the pieces of the answer. openai.APIError: there is none."""
        asked, said = self._asked(question), list[str]()
        messages = [*self._system, *self._messages, asked]
        with self._client.chat.completions.create(
            model=self.model, messages=messages, stream=True, **self._fields
        ) as stream:
            try:
                for chunk in stream:
                    self.answered_by = chunk.model
                    if chunk.choices and (piece := chunk.choices[0].delta.content):
                        said.append(piece)
                        yield piece
            finally:
                if said:  # also one that the user cut short
                    self._remember(asked, "".join(said))

    def whole(self, question: str) -> dict[str, Any]:
        """Return the answer as the server gives it."""
        asked = self._asked(question)
        messages = [*self._system, *self._messages, asked]
        found = self._client.chat.completions.create(model=self.model, messages=messages, stream=False, **self._fields)
        self._remember(asked, found.choices[0].message.content or "")
        answer: dict[str, Any] = found.to_dict()
        return answer

    def _asked(self, question: str) -> Any:
        content = [*self._parts, {"type": "text", "text": question}] if self._parts else question
        return {"role": "user", "content": content}

    def _remember(self, asked: dict[str, Any], said: str) -> None:
        self._messages += [asked, {"role": "assistant", "content": said}]
        self._parts = []


def _talk(talk: Conversation) -> int:
    """Ask for questions until the end of input."""
    with suppress(ImportError):
        import readline  # noqa: F401 - input() edits lines with it
    typer.echo(f"asking {talk.model}; /help says what else can be typed", err=True)
    hinted = False
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            typer.echo()
            return 0
        if line in ("/exit", "/quit"):
            return 0
        if line.startswith("/"):
            _command(talk, *line.partition(" ")[::2])
        elif line:
            _turn(talk, line)
            if talk.answered_by.endswith("-pocket") and not hinted:
                typer.echo(f"({talk.answered_by} is a tiny model that ships: fastembed pull smollm2-135m)", err=True)
                hinted = True


def _turn(talk: Conversation, question: str) -> None:
    """Print one answer; what goes wrong is told, and the conversation goes on."""
    from openai import APIError

    try:
        _print(talk.answer(question))
    except KeyboardInterrupt:
        typer.echo()
    except APIError as error:
        typer.echo(f"fastembed: {reason(error)}", err=True)


def _command(talk: Conversation, name: str, argument: str) -> None:
    match name, argument.strip():
        case "/file", path if path:
            try:
                talk.show(path)
            except FastEmbedError as error:
                typer.echo(f"fastembed: {error}", err=True)
            else:
                typer.echo(f"{printable(Path(path).name)} goes with the next question", err=True)
        case "/model", model if model:
            talk.model = model
        case "/clear", "":
            talk.clear()
        case "/help", _:
            typer.echo(_HELP, err=True)
        case _:
            typer.echo(f"found {name}, expected one of:\n{_HELP}", err=True)


def _print(pieces: Iterator[str]) -> None:
    """Print pieces as they come, and a line's end."""
    last = ""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
            last = piece
    finally:
        if last and not last.endswith("\n"):
            typer.echo()
