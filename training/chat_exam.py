"""Evaluates `models/chat-pocket` on conversations that it was not trained on, with the project's own environment.

    .venv/bin/python training/chat_exam.py models/chat-pocket [--rounds 40]

An answer counts when it is right letter by letter. Names and cities are held out (see `chat_talk.Talker`).
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path
from typing import Any

from chat_talk import LOST, TOOLS, Known, Message, Talker

SIMPLE = ("greet", "repeat", "add", "json", "count", "code", "ask")
BETWEEN = ("add", "json", "repeat", "greet")
NAMES = (
    "Alice", "Bob", "Carol", "David", "Emma", "Frank", "Grace", "Henry", "Lena", "Mario", "Sofia", "Peter", "Maria",
    "Tom", "Sara", "Karim", "Nina", "Oscar", "Rosa", "Victor",
)  # fmt: skip
UNHEARD = (
    "explain quantum physics to me",
    "why is the sky blue?",
    "write a poem",
    "translate good night",
    "who are they?",
)


class Exam:
    """Runs questions through a pipeline and counts right answers by kind of question."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.asked: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def answer(self, messages: list[Message], tools: tuple[str, ...] = ()) -> str:
        """Return the model's likeliest answer."""
        import openvino_genai

        config = openvino_genai.GenerationConfig(max_new_tokens=120, do_sample=False)
        history = openvino_genai.ChatHistory([{"role": role, "content": text} for role, text in messages])
        if tools:
            history.set_tools([TOOLS[tool] for tool in tools])
        return str(self.pipeline.generate(history, config).texts[0])

    def check(self, kind: str, messages: list[Message], *, tools: tuple[str, ...] = ()) -> None:
        """Generate the last message of a conversation from those before it, and compare."""
        self.asked[kind] += 1
        self.right[kind] += self.answer(messages[:-1], tools) == messages[-1][1]


def one_round(exam: Exam, talker: Talker) -> None:
    """Pose one question of every kind."""
    for kind in SIMPLE:
        exam.check("ask before a name was told" if kind == "ask" else kind, talker.exchange(kind, Known()))
    tools = tuple(TOOLS)
    for kind in ("weather", "time"):
        messages = talker.exchange(kind, Known(tools))
        exam.check(f"{kind}: call the tool", messages[:2], tools=tools)
        if len(messages) > 2:
            exam.check(f"{kind}: say what the tool found", messages, tools=tools)
        exam.check(f"{kind}: without a tool", talker.exchange(kind, Known()))
    known = Known()
    messages = talker.exchange("name", known)
    for _ in range(talker.rng.choice([0, 1, 2])):
        messages += talker.exchange(talker.rng.choice(BETWEEN), known)
    exam.check("remember a name over up to two turns", messages + talker.exchange("ask", known))


def fixed(exam: Exam) -> None:
    """Pose every sum of two digits, real names, and questions that no rule answers."""
    for one in range(10):
        for other in range(10):
            asked, answer = f"what is {one} + {other}?", f"{one} + {other} = {one + other}"
            exam.check("all sums of two digits", [("user", asked), ("assistant", answer)])
    for name in NAMES:
        told = [("user", f"my name is {name}"), ("assistant", f"Nice to meet you, {name}.")]
        asked_back = [("user", "what is my name?"), ("assistant", f"Your name is {name}.")]
        exam.check("names that people have", told + asked_back)
    for question in UNHEARD:
        exam.check("what it does not understand", [("user", question), ("assistant", LOST)])


def main() -> None:
    """Print a table."""
    import openvino_genai

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    exam = Exam(openvino_genai.LLMPipeline(str(options.folder), "CPU"))
    talker = Talker(random.Random(777), held_out=True)
    for _ in range(options.rounds):
        one_round(exam, talker)
    fixed(exam)
    for kind, asked in exam.asked.items():
        print(f"{kind:40} {exam.right[kind]:4} of {asked:4}  {exam.right[kind] / asked:.3f}")


if __name__ == "__main__":
    main()
