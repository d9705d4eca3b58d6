"""How models write tool calls: a table of the styles, and which one a model was trained for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CallStyle:
    """One way to write calls: JSON objects with a name and arguments, alone or in a list, between marks.

    begin, end: the marks; no `begin`: the answer is a call if it starts with a brace. arguments: the key of the
    arguments. special: the marks are control tokens, which decoding must keep. tells: what the chat template of a model
    with this style contains.
    """

    name: str
    begin: str
    end: str
    arguments: str = "arguments"
    special: bool = False
    tells: str = ""

    def opening(self, tool: str) -> str:
        """Return what stands before the arguments of a call that is forced (no control tokens: grammars know none)."""
        return f'{"" if self.special else self.begin + NEWLINE[self.begin]}{{"name": "{tool}", "{self.arguments}": '

    @property
    def closing(self) -> str:
        """What stands after the arguments of a call that is forced."""
        return "}" if self.special else "}" + NEWLINE[self.begin] + self.end


HERMES: Final = CallStyle("hermes", "<tool_call>", "</tool_call>", tells="<tool_call>")
NEWLINE: Final = {HERMES.begin: "\n", "": ""}
STYLES: Final = (
    HERMES,
    CallStyle("phi", "<|tool_call|>", "<|/tool_call|>", special=True, tells="<|tool_call|>"),
    CallStyle("mistral", "[TOOL_CALLS]", "", special=True, tells="[TOOL_CALLS]"),
    CallStyle("llama", "", "", arguments="parameters", tells='"parameters": dictionary'),
)


def style_of(template: str) -> CallStyle:
    """Return the style that a chat template teaches; Hermes' where it says nothing, the most widely trained one."""
    return next((style for style in STYLES if style.tells in template), HERMES)
