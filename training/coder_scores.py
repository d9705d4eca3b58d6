"""Measures how much of the code that a model writes is right: `coder_scores.py models/code-pocket`.

Every task of `snippets.py` is asked with names that training never showed, in wordings that it showed, in others, and
behind earlier turns of 300 to 400 tokens. The function in the answer runs in a Python process of its own and must
return, or print, what the task's own body does for the same arguments. Run it in the project's environment.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from typing import Any

import openvino_genai
from snippets import CONSTANTS, TASKS, Asked, Asker, Turn

TIMEOUT_S = 10
FENCED = re.compile(r"```python\n(.*?)```", re.DOTALL)
TRIAL = """
import contextlib, io, json, sys
asked = json.load(sys.stdin)
def outcomes(code):
    names = {}
    exec(code, names)
    found = []
    for arguments in asked["inputs"]:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            value = names[asked["function"]](*arguments)
        found.append((type(value).__name__, value, printed.getvalue()))
    return found
sys.exit(outcomes(asked["answer"]) != outcomes(asked["expected"]))
"""


def arguments(given: str, rng: random.Random) -> list[Any]:
    """Return the arguments of one call for a task."""
    makers = {
        "n": lambda: rng.randint(-20, 20),
        "p": lambda: rng.randint(1, 9),
        "s": lambda: rng.choice(("Level headed", "anna", "A quick brown fox", "radar", "Ooze  up")),
        "l": lambda: [rng.randint(-9, 9) for _ in range(rng.randint(1, 7))],
        "c": lambda: rng.choice("aeorA"),
    }
    return [makers[letter]() for letter in given]


def runs(asked: Asked, answer: str, rng: random.Random) -> bool:
    """Run the function of an answer and the expected one on the same arguments."""
    code, expected = FENCED.search(answer), FENCED.search(asked.answer)
    if code is None or expected is None:
        return False
    inputs = [arguments(asked.given, rng) for _ in range(12)]
    trial = {"answer": code[1], "expected": expected[1], "function": asked.function, "inputs": inputs}
    try:
        ended = subprocess.run(  # noqa: S603 - this very Python, isolated
            [sys.executable, "-I", "-c", TRIAL],
            input=json.dumps(trial).encode(),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def main() -> None:
    """Pose every task in three wordings; print the share that runs, and the errors."""
    pipeline = openvino_genai.LLMPipeline(sys.argv[1], "CPU")
    config = openvino_genai.GenerationConfig(max_new_tokens=160, do_sample=False)
    kinds = {
        "new names": Asker(11, held_out_names=True),
        "new names and wordings": Asker(12, held_out_names=True, held_out_wordings=True),
        "new names, behind earlier turns": Asker(13, held_out_names=True),
    }
    rng, earlier = random.Random(5), Asker(14)
    for kind, asker in kinds.items():
        right, failed = 0, []
        for task in (*TASKS, *CONSTANTS):
            asked = asker.ask(task)
            turns: list[Turn] = []
            while "earlier" in kind and sum(len(text) for _, text in turns) < 800:
                turns += [turn for turn in earlier.conversation() if turn[0] != "system"]
            history = openvino_genai.ChatHistory(
                [{"role": role, "content": text} for role, text in (*turns, ("user", asked.prompt))]
            )
            answer = pipeline.generate(history, config).texts[0]
            if runs(asked, answer, rng):
                right += 1
            else:
                failed.append(f"  {asked.prompt}\n    {answer!r}")
        count = len(TASKS) + len(CONSTANTS)
        print(f"{kind}: {right} of {count} run and are right ({right / count:.0%})", *failed[:6], sep="\n", flush=True)


if __name__ == "__main__":
    main()
