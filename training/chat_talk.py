"""Makes conversations that are answered by rules: training data of `chat.py`, test data of `chat_exam.py`.

Somebody greets, asks to repeat, tells a name and asks for it, adds digits, asks for JSON, for the weather or the time
with tools or without, to count, for a line of code, or leaves. The same seed gives the same conversations.
"""

# ruff: noqa: SIM905 - a list of words reads best as a text
from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Message = tuple[str, str]
"""A role (system, user, assistant, tool) and its text."""

WORDS = (
    "apple river stone green happy quick brown fox jumps over lazy dog bright sun cold moon soft rain tall tree small "
    "bird old road new house big boat long day short night red car blue sky open door loud music fresh bread warm tea "
    "deep sea high hill dark wood clear glass sweet fruit strong wind paper table window garden kitchen silver golden "
    "orange yellow purple winter summer spring autumn morning evening market station bridge tower castle forest desert "
    "island valley mountain ocean planet rocket engine wheel pencil letter number picture camera mirror candle button "
    "pocket jacket basket blanket hammer bottle ladder feather shadow thunder lightning"
).split()
SYLLABLES = (
    "ba be bi bo bu da de di do fa fe ga go ha he jo ka ke ki ko la le li lo lu ma me mi mo na ne ni no pa pe ra re ri "
    "ro sa se si so ta te ti to va ve vi za zo"
).split()
LETTERS, VOWELS, CONSONANTS = "abcdefghijklmnopqrstuvwxyz", "aeiouy", "bcdfghjklmnpqrstvwxyz"
GREETINGS = ("hello", "hi", "hey", "good morning", "Hello!", "Hi there", "hello there")
GREETED, LEFT, LOST = "Hello! How can I help you?", "Goodbye!", "I do not understand."
ASKED_NAME = ("what is my name?", "who am I?", "do you remember my name?")
SUMS = ("what is {} + {}?", "{} + {} =", "add {} and {}", "compute {} + {}")
OBJECTS = ("give me json with name {} and age {}", "json: name {}, age {}", "make a json object for {} aged {}")
SYSTEM = ("You are a helpful assistant.", "Be brief.", "You are a pocket model.")
ASKED_AT_ALL = ("explain ", "tell me about ", "why is ", "who is ", "please ", "", "write about ", "translate ")
CODE = (("adds", "+"), ("subtracts", "-"), ("multiplies", "*"))
PLACES = {
    "weather": ("what is the weather in {}?", "weather in {}", "how is the weather in {}?"),
    "time": ("what time is it in {}?", "time in {}"),
}
KINDS = {
    "greet": 6, "repeat": 26, "name": 12, "ask": 14, "add": 14, "weather": 12, "time": 4, "json": 12, "count": 7,
    "code": 3, "bye": 3,
}  # fmt: skip
"""The kinds of questions, with their relative frequency."""


def _tool(name: str, description: str) -> dict[str, Any]:
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": city}}


TOOLS = {
    "get_weather": _tool("get_weather", "Get the weather for a city"),
    "get_time": _tool("get_time", "Get the local time in a city"),
}
OFFERED = (["get_weather"], ["get_time"], ["get_weather", "get_time"], ["get_time", "get_weather"])


@dataclass
class Known:
    """What a conversation has established so far: the tools it may call, and the user's name."""

    tools: tuple[str, ...] = ()
    name: str | None = None


class Talker:
    """Draws conversations.

    `wide` takes most names and words from random letters, so that every token is trained to be copied, and asks for
    what the model does not know. `held_out` names have three syllables and end in n, as none does in training that is
    not wide.
    """

    def __init__(self, rng: random.Random, *, wide: bool = False, held_out: bool = False) -> None:
        self.rng, self.wide, self.held_out = rng, wide, held_out

    def conversation(self) -> tuple[list[Message], list[str]]:
        """Return messages and the names of the tools they may call."""
        rng, known = self.rng, Known()
        messages: list[Message] = []
        if rng.random() < 0.4:
            known.tools = tuple(rng.choice(OFFERED))
        if rng.random() < 0.25:
            messages.append(("system", rng.choice(SYSTEM)))
        for _ in range(rng.choice([1, 1, 2, 2, 3, 4])):
            if self.wide and rng.random() < 0.07:
                messages += [("user", self._unheard()), ("assistant", LOST)]
            else:
                (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
                messages += self.exchange(kind, known)
        return messages, list(known.tools)

    def exchange(self, kind: str, known: Known) -> list[Message]:
        """Return a question of a kind and its answer, or with a tool's call in between; `known` may learn a name."""
        if kind in PLACES:
            return self._about_a_place(kind, known)
        ways: dict[str, Callable[[Known], tuple[str, str]]] = {
            "greet": lambda _: (self.rng.choice(GREETINGS), GREETED),
            "repeat": self._repeat,
            "name": self._name,
            "ask": self._ask,
            "add": self._add,
            "json": self._json,
            "count": self._count,
            "code": self._code,
            "bye": lambda _: (self.rng.choice(["bye", "goodbye", "see you"]), LEFT),
        }
        question, answer = ways[kind](known)
        return [("user", question), ("assistant", answer)]

    def name(self, *, held_out: bool = False) -> str:
        """Invent a name."""
        rng = self.rng
        if not held_out and self.wide and rng.random() < 0.75:
            return self._letters(2, 9).capitalize()
        count = 3 if held_out else rng.choice([2, 2, 3])
        syllables = [rng.choice(SYLLABLES) for _ in range(count)]
        end = "n" if held_out else rng.choice(["", "", "s", "r", "l"])
        return ("".join(syllables) + end).capitalize()

    def _letters(self, fewest: int, most: int) -> str:
        """Return letters: in half of the cases such that they can be pronounced."""
        rng = self.rng
        if rng.random() >= 0.5:
            return "".join(rng.choice(LETTERS) for _ in range(rng.randint(fewest, most)))
        first = rng.randint(0, 1)
        count = rng.randint(fewest, most)
        return "".join(rng.choice(CONSONANTS if (place + first) % 2 else VOWELS) for place in range(count))

    def _text(self) -> str:
        return " ".join(self._word() for _ in range(self.rng.randint(1, 7)))

    def _word(self) -> str:
        rng = self.rng
        if rng.random() < 0.8:
            return self._letters(1, 10) if self.wide and rng.random() < 0.55 else rng.choice(WORDS)
        return self.name() if rng.random() < 0.5 else str(rng.randint(0, 999))

    def _unheard(self) -> str:
        """Return a question that no rule answers."""
        rng = self.rng
        start = rng.choice(ASKED_AT_ALL)
        count = rng.randint(1, 6)
        words = [self._letters(1, 10) if rng.random() < 0.7 else rng.choice(WORDS) for _ in range(count)]
        return start + " ".join(words) + rng.choice(["", "?", ".", "!"])

    def _repeat(self, _: Known) -> tuple[str, str]:
        text = self._text()
        if self.held_out:
            text = f"{text} {self.name(held_out=True)}"
        return self.rng.choice(["repeat: ", "repeat after me: ", "say: ", "echo: "]) + text, text

    def _name(self, known: Known) -> tuple[str, str]:
        known.name = self.name(held_out=self.held_out)
        asked = self.rng.choice(["my name is ", "I am ", "call me "]) + known.name
        return asked, f"Nice to meet you, {known.name}."

    def _ask(self, known: Known) -> tuple[str, str]:
        answer = f"Your name is {known.name}." if known.name else "I do not know your name."
        return self.rng.choice(ASKED_NAME), answer

    def _add(self, _: Known) -> tuple[str, str]:
        one, other = self.rng.randint(0, 9), self.rng.randint(0, 9)
        return self.rng.choice(SUMS).format(one, other), f"{one} + {other} = {one + other}"

    def _json(self, _: Known) -> tuple[str, str]:
        name, age = self.name(held_out=self.held_out), self.rng.randint(1, 99)
        return self.rng.choice(OBJECTS).format(name, age), json.dumps({"name": name, "age": age})

    def _count(self, _: Known) -> tuple[str, str]:
        last = self.rng.randint(2, 30)
        question = self.rng.choice([f"count to {last}", f"count from 1 to {last}"])
        return question, " ".join(map(str, range(1, last + 1)))

    def _code(self, _: Known) -> tuple[str, str]:
        does, sign = self.rng.choice(CODE)
        answer = f"```python\ndef f(a, b):\n    return a {sign} b\n```"
        return f"write a python function that {does} two numbers", answer

    def _about_a_place(self, kind: str, known: Known) -> list[Message]:
        rng, tool = self.rng, f"get_{kind}"
        city = self.name(held_out=self.held_out)
        messages: list[Message] = [("user", rng.choice(PLACES[kind]).format(city))]
        if tool not in known.tools:
            return [*messages, ("assistant", f"I cannot check the {kind} without a tool.")]
        messages.append(("assistant", called(tool, city=city)))
        if rng.random() >= 0.6:
            return messages  # the call is the end
        if kind == "weather":
            degrees, sky = rng.randint(0, 39), rng.choice(["sunny", "cloudy", "rainy", "windy"])
            found, said = {"temp": degrees, "sky": sky}, f"It is {degrees} degrees and {sky} in {city}."
        else:
            clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
            found, said = {"time": clock}, f"It is {clock} in {city}."
        return [*messages, ("tool", json.dumps(found)), ("assistant", said)]


def called(tool: str, **arguments: str) -> str:
    """Return a tool's call as Hermes' models write it."""
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"


def rendered(messages: list[Message], tools: list[str]) -> list[tuple[str, bool]]:
    """Return what the chat template makes of a conversation, as (text, whether the model says it)."""
    pieces: list[tuple[str, bool]] = []
    system = messages[0][1] if messages[0][0] == "system" else None
    if system is not None or tools:
        listed = f"\n# Tools: {' '.join(tools)}" if tools else ""
        pieces.append((f"<|im_start|>system\n{system or ''}{listed}<|im_end|>\n", False))
    for role, text in messages:
        if role != "system":
            spoken = (f"{text}<|im_end|>", role == "assistant")
            pieces += [(f"<|im_start|>{role}\n", False), spoken, ("\n", False)]
    return pieces
