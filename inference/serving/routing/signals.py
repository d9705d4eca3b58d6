"""How difficult a request is, as a sum of named signals, and whether it is about code.

| signal    | most   | grows with                                                                          |
| --------- | ------ | ----------------------------------------------------------------------------------- |
| length    | 0.15   | the question's tokens: from 32, doubling by doubling, to 1,024                      |
| questions | 0.10   | question marks after the first, to 4                                                |
| reasoning | 0.45   | words such as why and compare (1 point), prove and derive (2 points), to 3 points   |
| maths     | 0.20   | formulas, and words such as integral, to 3                                          |
| steps     | 0.15   | lines of a list, and words such as then, from the second to 5                       |
| code      | 0.10   | code in the question: a fence or a line of code                                     |
| turns     | 0.05   | the user's turns after the first, to 8                                              |
| tools     | 0.10   | the tools on offer, to 4                                                            |
| schema    | 0.05   | the answer's JSON Schema                                                            |
| media     | 0.10   | pictures, videos and sounds after the first, to 4                                   |
| effort    | 0.50   | `reasoning_effort`: high and above 0.50, medium 0.10, low and below minus 0.25      |

Words are looked for in the question (the last user message): all of it up to 8,000 characters, of a longer one the
first and the last 4,000, so that a megabyte costs no more. Every pattern is bounded: none backtracks over the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fastembed.inference.serving.routing import words as known
from fastembed.pipeline.payload.chat import ChatRequest

_WEIGHTS: Final[Mapping[str, float]] = {
    "length": 0.15,
    "questions": 0.10,
    "reasoning": 0.45,
    "maths": 0.20,
    "steps": 0.15,
    "code": 0.10,
    "turns": 0.05,
    "tools": 0.10,
    "schema": 0.05,
    "media": 0.10,
    "effort": 0.50,
}
_EFFORTS: Final[Mapping[str, float]] = {
    "none": -0.5, "minimal": -0.5, "low": -0.5, "medium": 0.2, "high": 1.0, "xhigh": 1.0, "max": 1.0
}  # fmt: skip
_HALF: Final = 4_000
_SHORT_TOKENS: Final = 32
_DOUBLINGS: Final = 5
_WORD: Final = re.compile(r"[^\W_]+")
_HAN: Final = re.compile("[\u3400-\u9fff]")
_FORMULA: Final = re.compile(r"\d ?[-+*/^=×÷] ?\d|\b[a-z] ?[=^] ?[\d(]|\\(?:frac|int|sum|sqrt|begin)\b|[∫∑√∂≤≥≠∞∈∀∃]")
_LIST_LINE: Final = re.compile(r"^[ \t]{0,8}(?:\d{1,2}[.)]|[-*•]) ", re.MULTILINE)
_CODE_LINE: Final = re.compile(
    r"^[ \t]{0,16}(?:def \w{1,60}\(|class \w{1,60}[:({]|import \w{1,60}$|from [\w.]{1,80} import |function \w{0,60}\(|"
    r"(?:const|let|var) \w{1,60} ?=|#include ?[<\"]|f(?:n|unc) \w{1,60}\(|public (?:class|static|void|int) |"
    r"SELECT .{1,80} FROM )",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One reason for a complexity. value: what it adds. found: what was seen, for people."""

    name: str
    value: float
    found: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as the signals look at it. text: of a long one its ends. words: in lower case, as they come."""

    text: str
    lower: str
    words: tuple[str, ...]
    chinese: bool
    code: bool


def read(question: str) -> Reading:
    """Prepare a question: its middle is left out where it is long."""
    text = question if len(question) <= 2 * _HALF else f"{question[:_HALF]}\n{question[-_HALF:]}"
    lower = text.lower()
    chinese = not text.isascii() and _HAN.search(text) is not None
    code = "```" in text or _CODE_LINE.search(text) is not None
    return Reading(text, lower, tuple(_WORD.findall(lower)), chinese, code)


def complexity_of(request: ChatRequest, question: Reading, *, tokens: int, media: int) -> tuple[Signal, ...]:
    """Return the signals that are there. tokens: of the question. media: pictures, videos and sounds of the request."""
    marks = question.lower.count("?") + question.lower.count("？")
    turns = sum(message.role == "user" for message in request.messages)
    tools = len(request.tools) if request.tool_choice != "none" else 0
    found = (
        _length(tokens),
        _counted("questions", marks, 1, 4, "questions"),
        _reasoning(question),
        _maths(question),
        _steps(question),
        _signal("code", 1.0, "code in the question") if question.code else None,
        _counted("turns", turns, 1, 8, "turns"),
        _counted("tools", tools, 0, 4, "tools"),
        _signal("schema", 1.0, "a JSON Schema") if isinstance(request.json, Mapping) else None,
        _counted("media", media, 1, 4, "pictures and sounds"),
        _effort(request.reasoning_effort) if request.reasoning_effort else None,
    )
    return tuple(signal for signal in found if signal is not None)


def is_about_code(request: ChatRequest, question: Reading) -> bool:
    """Whether the request wants code: by its words, by code in it, or by code in what was said before."""
    if question.code:
        return True
    points = sum([known.CODE[word] for word in set(question.words) if word in known.CODE])
    if "c++" in question.lower or "c#" in question.lower:
        points += 3
    if question.chinese:
        points += _chinese_points(question.text, known.CHINESE_CODE)
    if points < known.CODE_FROM and points and any("```" in message.text for message in request.messages):
        points += 2
    return points >= known.CODE_FROM


def _length(tokens: int) -> Signal | None:
    if tokens <= _SHORT_TOKENS:
        return None
    return _signal("length", math.log2(tokens / _SHORT_TOKENS) / _DOUBLINGS, f"{tokens} tokens")


def _reasoning(question: Reading) -> Signal | None:
    found = _known(question.words, known.REASONING)
    phrases = [phrase for phrase in known.PHRASES if phrase in question.lower]
    points = sum([known.REASONING[word] for word in found]) + len(phrases)
    if question.chinese:
        points += _chinese_points(question.text, known.CHINESE_REASONING)
        found += [word for word in known.CHINESE_REASONING if word in question.text]
    return _signal("reasoning", points / 3, ", ".join([*found, *phrases][:6])) if points else None


def _maths(question: Reading) -> Signal | None:
    found = _known(question.words, known.MATHS)
    if question.chinese:
        found += [word for word in known.CHINESE_MATHS if word in question.text]
    formulas = len(_FORMULA.findall(question.lower))
    if not found and not formulas:
        return None
    shown = [*found[:5], *([f"{formulas} formula{'s' if formulas > 1 else ''}"] if formulas else [])]
    return _signal("maths", (len(found) + formulas) / 3, ", ".join(shown))


def _steps(question: Reading) -> Signal | None:
    count = sum([word in known.STEPS for word in question.words]) + len(_LIST_LINE.findall(question.text))
    if question.chinese:
        count += sum([word in question.text for word in known.CHINESE_STEPS])
    return _counted("steps", count, 1, 5, "steps")


def _effort(effort: str) -> Signal | None:
    level = _EFFORTS.get(effort, 0.0)
    return Signal("effort", round(_WEIGHTS["effort"] * level, 3), f"reasoning_effort {effort}") if level else None


def _known(found: Iterable[str], vocabulary: Container[str]) -> list[str]:
    """Return the words of the vocabulary, each once, in their order."""
    return list(dict.fromkeys([word for word in found if word in vocabulary]))


def _chinese_points(text: str, vocabulary: Mapping[str, int]) -> int:
    return sum([points for word, points in vocabulary.items() if word in text])


def _counted(name: str, count: int, least: int, most: int, what: str) -> Signal | None:
    """Return a signal that grows from 0 at `least` to its weight at `most`."""
    return _signal(name, (count - least) / (most - least), f"{count} {what}") if count > least else None


def _signal(name: str, level: float, found: str) -> Signal:
    return Signal(name, round(_WEIGHTS[name] * min(1.0, level), 3), found)
