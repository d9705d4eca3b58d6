"""Makes conversations about small Python functions, request and answer: the training data of `coder.py`.

A task is what a function does, in several wordings, and its body; names of functions and arguments are asked for in
many ways, or left to the writer. The last wording of each task is never trained on, and neither are names that end in
`-ling`: with these the test is made. Whether an answer is right is seen by running it (`coder_scores.py`).
"""

# ruff: noqa: E501, SIM905 - a task reads best on two lines, a list of words as a text
from __future__ import annotations

import random
from dataclasses import dataclass

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = (
    "total sum value amount price count score area rate level size weight height speed data text word line name "
    "title key left right first second old new start end big small my get make find calc compute check is has to "
    "from with number string list items values numbers words chars letter phrase message report order user file "
    "node graph mean best top low high next last fast simple helper do run apply combine merge join split length "
    "vowel prime even odd double half square root power base factor digit step index limit offset width depth "
    "cost tax bill cart stock item box row col"
).split()
TAKEN = frozenset(
    (
        "abs all and any as assert async await break char class continue def del elif else except finally for from "
        "global i if import in int is item lambda len list max min nonlocal not number or pass print raise range "
        "result return reversed round set sorted str sum try while with yield"
    ).split()
)
GREETING = "Hello! Ask me for a small Python function."
UNKNOWN = "I only write small Python functions."
RENAMED = ("call it {}", "rename it to {}", "now name it {}", "please rename the function to {}")


@dataclass(frozen=True, slots=True)
class Task:
    """What a function does: its usual name and arguments, its body (F, A, B, C stand for the names), and wordings.

    `given` says what a test passes: n a number, p a positive one, s a text, l a list of numbers, c a letter.
    """

    name: str
    arguments: tuple[str, ...]
    given: str
    body: str
    wordings: tuple[str, ...]


def _task(name: str, arguments: str, given: str, body: str, wordings: str) -> Task:
    return Task(name, tuple(arguments.split()), given, body, tuple(wordings.split("|")))


LOOP = "result = []\nfor item in A:\n    if {}:\n        result.append(item)\nreturn result"
TASKS = (
    _task("add", "a b", "nn", "return A + B",
          "adds two numbers|returns the sum of two numbers|sums two numbers|computes the sum of two values|gives two numbers added together"),
    _task("subtract", "a b", "nn", "return A - B",
          "subtracts two numbers|returns the difference of two numbers|subtracts the second number from the first|computes the difference between two values"),
    _task("multiply", "a b", "nn", "return A * B",
          "multiplies two numbers|returns the product of two numbers|computes the product of two values|gives two numbers multiplied together"),
    _task("divide", "a b", "np", "return A / B",
          "divides two numbers|returns the quotient of two numbers|divides the first number by the second|computes the quotient of two values"),
    _task("remainder", "a b", "np", "return A % B",
          "returns the remainder of two numbers|computes the remainder of a division|gives the modulo of two numbers|returns the remainder when dividing two values"),
    _task("power", "a b", "np", "return A ** B",
          "raises a number to a power|returns a number to the power of another|computes the power of two numbers|raises the first number to the second"),
    _task("maximum", "a b", "nn", "return A if A > B else B",
          "returns the maximum of two numbers|returns the larger of two numbers|finds the max of two numbers|gives the bigger of two numbers|returns the greater of two values"),
    _task("minimum", "a b", "nn", "return A if A < B else B",
          "returns the minimum of two numbers|returns the smaller of two numbers|finds the min of two numbers|gives the lesser of two numbers|returns the lower of two values"),
    _task("average", "a b", "nn", "return (A + B) / 2",
          "returns the average of two numbers|computes the mean of two numbers|averages two numbers|gives the average of two values"),
    _task("distance", "a b", "nn", "return abs(A - B)",
          "returns the absolute difference of two numbers|computes the distance between two numbers|gives how far two numbers are apart|returns the distance of two values"),
    _task("is_equal", "a b", "nn", "return A == B",
          "checks if two numbers are equal|tests whether two values are equal|returns True if two numbers are the same|tells whether two numbers are equal"),
    _task("is_greater", "a b", "nn", "return A > B",
          "checks if the first number is greater than the second|tests whether the first number is larger|returns True if the first number is bigger than the second|tells whether the first value is greater"),
    _task("rectangle_area", "width height", "pp", "return A * B",
          "returns the area of a rectangle|computes the area of a rectangle|calculates the area of a rectangle|gives the area of a rectangle"),
    _task("add_three", "a b c", "nnn", "return A + B + C",
          "adds three numbers|returns the sum of three numbers|sums three numbers|computes the sum of three values"),
    _task("maximum_of_three", "a b c", "nnn", "return max(A, B, C)",
          "returns the maximum of three numbers|returns the largest of three numbers|finds the max of three numbers|gives the biggest of three numbers"),
    _task("square", "n", "n", "return A * A",
          "squares a number|returns the square of a number|computes the square of a number|gives the square of a value"),
    _task("cube", "n", "n", "return A * A * A",
          "cubes a number|returns the cube of a number|computes the cube of a number|gives the cube of a value"),
    _task("double", "n", "n", "return A * 2",
          "doubles a number|returns twice a number|computes the double of a number|gives the double of a value"),
    _task("half", "n", "n", "return A / 2",
          "halves a number|returns half of a number|computes half of a number|gives half of a value"),
    _task("negate", "n", "n", "return -A",
          "negates a number|returns the negative of a number|flips the sign of a number|gives the negative of a value"),
    _task("absolute", "n", "n", "return abs(A)",
          "returns the absolute value of a number|computes the absolute value|gives the absolute value of a number|calculates the absolute value of a number"),
    _task("is_even", "n", "n", "return A % 2 == 0",
          "checks if a number is even|tests whether a number is even|returns True if a number is even|tells whether a value is even"),
    _task("is_odd", "n", "n", "return A % 2 == 1",
          "checks if a number is odd|tests whether a number is odd|returns True if a number is odd|tells whether a value is odd"),
    _task("is_positive", "n", "n", "return A > 0",
          "checks if a number is positive|tests whether a number is positive|returns True if a number is positive|tells whether a value is positive"),
    _task("is_negative", "n", "n", "return A < 0",
          "checks if a number is negative|tests whether a number is negative|returns True if a number is negative|tells whether a value is negative"),
    _task("factorial", "n", "p", "result = 1\nfor i in range(2, A + 1):\n    result *= i\nreturn result",
          "computes the factorial of a number|returns the factorial of a number|calculates a factorial|gives the factorial of a value"),
    _task("factorial", "n", "p", "if A <= 1:\n    return 1\nreturn A * F(A - 1)",
          "computes the factorial recursively|returns the factorial of a number with recursion|calculates a factorial by recursion|gives a recursive factorial"),
    _task("fibonacci", "n", "p", "result, item = 0, 1\nfor i in range(A):\n    result, item = item, result + item\nreturn result",
          "returns the nth fibonacci number|computes a fibonacci number|calculates the nth number of the fibonacci sequence|gives the nth fibonacci number"),
    _task("sum_to", "n", "p", "result = 0\nfor i in range(1, A + 1):\n    result += i\nreturn result",
          "sums the numbers from 1 to n|adds all numbers from 1 to n|returns the sum of the numbers up to n|computes the sum from 1 to n"),
    _task("is_prime", "n", "p", "if A < 2:\n    return False\nfor i in range(2, A):\n    if A % i == 0:\n        return False\nreturn True",
          "checks if a number is prime|tests whether a number is prime|returns True if a number is prime|tells whether a value is prime"),
    _task("sum_digits", "n", "p", "return sum(int(char) for char in str(A))",
          "sums the digits of a number|adds the digits of a number|returns the sum of the digits of a number|computes the digit sum of a number"),
    _task("count_digits", "n", "p", "return len(str(A))",
          "counts the digits of a number|returns how many digits a number has|returns the number of digits|gives the count of digits of a number"),
    _task("countdown", "n", "p", "return list(range(A, 0, -1))",
          "counts down from n|returns a countdown from n to 1|returns a list that counts down to 1|gives the numbers from n down to 1"),
    _task("to_fahrenheit", "celsius", "n", "return A * 9 / 5 + 32",
          "converts celsius to fahrenheit|turns celsius into fahrenheit|returns the temperature in fahrenheit|changes degrees celsius to fahrenheit"),
    _task("to_celsius", "fahrenheit", "n", "return (A - 32) * 5 / 9",
          "converts fahrenheit to celsius|turns fahrenheit into celsius|returns the temperature in celsius|changes degrees fahrenheit to celsius"),
    _task("reverse", "text", "s", "return A[::-1]",
          "reverses a string|returns a string backwards|reverses a text|returns the reverse of a string|gives a text in reverse"),
    _task("uppercase", "text", "s", "return A.upper()",
          "converts a string to uppercase|makes a string uppercase|returns a text in upper case|turns a string into capital letters|gives a string in uppercase"),
    _task("lowercase", "text", "s", "return A.lower()",
          "converts a string to lowercase|makes a string lowercase|returns a text in lower case|turns a string into small letters|gives a string in lowercase"),
    _task("length", "text", "s", "return len(A)",
          "returns the length of a string|computes the length of a text|gives how long a string is|counts the characters of a string|gives the length of a string"),
    _task("count_vowels", "text", "s", 'result = 0\nfor char in A.lower():\n    if char in "aeiou":\n        result += 1\nreturn result',
          "counts the vowels in a string|returns the number of vowels in a text|counts vowels|computes how many vowels a string has"),
    _task("is_palindrome", "text", "s", "return A == A[::-1]",
          "checks if a string is a palindrome|tests whether a text is a palindrome|returns True if a string is a palindrome|tells whether a word is a palindrome"),
    _task("first_letter", "text", "s", "return A[0]",
          "returns the first letter of a string|gives the first character of a string|returns the first character of a text|gets the first letter of a string"),
    _task("last_letter", "text", "s", "return A[-1]",
          "returns the last letter of a string|gives the last character of a string|returns the last character of a text|gets the last letter of a string"),
    _task("count_words", "text", "s", "return len(A.split())",
          "counts the words in a string|returns the number of words in a text|counts words|computes how many words a string has"),
    _task("remove_spaces", "text", "s", 'return A.replace(" ", "")',
          "removes the spaces from a string|deletes all spaces in a text|strips spaces out of a string|takes the spaces out of a string"),
    _task("count_letter", "text letter", "sc", "return A.count(B)",
          "counts a letter in a string|returns how often a letter occurs in a text|counts how many times a letter occurs in a string|computes how often a letter is in a string"),
    _task("starts_with", "text prefix", "sc", "return A.startswith(B)",
          "checks if a string starts with a prefix|tests whether a text starts with a prefix|returns True if a string begins with a prefix|tells whether a string starts with a prefix"),
    _task("repeat", "text times", "sp", "return A * B",
          "repeats a string|repeats a text a number of times|returns a string repeated n times|gives a string many times over"),
    _task("total", "values", "l", "result = 0\nfor item in A:\n    result += item\nreturn result",
          "sums a list of numbers|returns the sum of a list|adds all numbers in a list|computes the total of a list"),
    _task("product", "values", "l", "result = 1\nfor item in A:\n    result *= item\nreturn result",
          "multiplies all numbers in a list|returns the product of a list|computes the product of a list of numbers|gives the product of a list"),
    _task("largest", "values", "l", "return max(A)",
          "returns the largest number in a list|finds the maximum of a list|finds the biggest number in a list|gives the max of a list|gives the largest value of a list"),
    _task("smallest", "values", "l", "return min(A)",
          "returns the smallest number in a list|finds the minimum of a list|finds the lowest number in a list|gives the min of a list|gives the smallest value of a list"),
    _task("mean", "values", "l", "return sum(A) / len(A)",
          "returns the average of a list|computes the mean of a list of numbers|averages a list|gives the average of a list"),
    _task("count_items", "values", "l", "return len(A)",
          "counts the items in a list|returns the length of a list|returns how many items a list has|gives the number of items in a list"),
    _task("reverse_list", "values", "l", "return A[::-1]",
          "reverses a list|returns a list backwards|returns the reverse of a list|gives a list in reverse order"),
    _task("sort_list", "values", "l", "return sorted(A)",
          "sorts a list|returns a sorted list|sorts a list of numbers|gives a list in sorted order"),
    _task("sort_descending", "values", "l", "return sorted(A, reverse=True)",
          "sorts a list in descending order|sorts a list from largest to smallest|returns a list sorted in descending order|gives a list sorted descending"),
    _task("first_item", "values", "l", "return A[0]",
          "returns the first item of a list|gives the first element of a list|returns the first element of a list|gets the first item of a list"),
    _task("last_item", "values", "l", "return A[-1]",
          "returns the last item of a list|gives the last element of a list|returns the last element of a list|gets the last item of a list"),
    _task("evens", "values", "l", LOOP.format("item % 2 == 0"),
          "returns the even numbers of a list|filters the even numbers|keeps only the even numbers in a list|gives the even numbers of a list"),
    _task("odds", "values", "l", LOOP.format("item % 2 == 1"),
          "returns the odd numbers of a list|filters the odd numbers|keeps only the odd numbers in a list|gives the odd numbers of a list"),
    _task("positives", "values", "l", LOOP.format("item > 0"),
          "returns the positive numbers of a list|filters the positive numbers|keeps only the positive numbers in a list|gives the positive numbers of a list"),
    _task("squares", "values", "l", "return [item * item for item in A]",
          "squares every number in a list|returns the squares of a list|squares all numbers of a list|gives the square of each number in a list"),
    _task("unique", "values", "l", LOOP.format("item not in result"),
          "removes duplicates from a list|returns the unique items of a list|deletes duplicates in a list|gives a list without duplicates"),
    _task("contains", "values value", "ln", "return B in A",
          "checks if a list contains a value|tests whether a value is in a list|returns True if a value is in a list|tells whether a list contains a value"),
    _task("count_value", "values value", "ln", "return A.count(B)",
          "counts a value in a list|returns how often a value occurs in a list|counts how many times a value is in a list|computes how often a value occurs in a list"),
)  # fmt: skip
CONSTANTS = (  # the number is the prompt's: N
    _task("add_number", "n", "n", "return A + N", "adds N to a number|returns a number plus N|increases a number by N|gives a number plus N"),
    _task("subtract_number", "n", "n", "return A - N",
          "subtracts N from a number|returns a number minus N|decreases a number by N|gives a number minus N"),
    _task("times_number", "n", "n", "return A * N",
          "multiplies a number by N|returns a number times N|returns N times a number|gives a number times N"),
    _task("is_over", "n", "n", "return A > N",
          "checks if a number is greater than N|tests whether a number is over N|returns True if a number is larger than N|tells whether a number is greater than N"),
    _task("is_multiple", "n", "n", "return A % N == 0",
          "checks if a number is divisible by N|tests whether a number is a multiple of N|returns True if a number is divisible by N|tells whether a number is divisible by N"),
    _task("first_items", "values", "l", "return A[:N]",
          "returns the first N items of a list|gives the first N elements of a list|takes the first N items of a list|gets the first N items of a list"),
    _task("numbers", "", "", "return list(range(1, N + 1))",
          "returns the numbers from 1 to N|lists the numbers from 1 to N|counts from 1 to N|gives the numbers from 1 to N"),
    _task("say_hello", "", "", 'for i in range(N):\n    print("hello")',
          "prints hello N times|says hello N times|prints the word hello N times|writes hello N times"),
)  # fmt: skip
OPENERS = (
    "Write a function{} that {}|write a python function{} that {}|Write a Python function{} that {}|"
    "Define a function{} that {}|I need a function{} that {}|Create a function{} that {}|"
    "Implement a function{} which {}|Please write a function{} that {}|Give me a function{} that {}|"
    "Can you write a function{} that {}?|make a function{} that {}|function{} that {}|"
    "Write code for a function{} that {}|Show me a Python function{} that {}"
).split("|")
HELD_OUT_OPENER = "Could you please implement a python function{} that {}"
SYSTEMS = (
    "You are a helpful assistant.",
    "You are a helpful coding assistant. Answer with code only.",
    "You write Python.",
    "You are an expert Python programmer. Be brief, use clear names, and never explain more than needed.",
)
CHATTER = (
    "I am working on a small script for my team and I am new to Python.|This is for a school exercise.|"
    "Thank you for the last one.|Keep it simple.|No comments please.|It will be called very often.|"
    "We run Python 3.11 on a laptop.|I want to learn how it works."
).split("|")

Turn = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, the answer that is expected, and how to try an answer: the function's name and what its task takes."""

    prompt: str
    answer: str
    function: str
    given: str


class Asker:
    """Makes prompts; `held_out` ones are worded, and their names are made, as no training example is."""

    def __init__(self, seed: int, *, held_out_names: bool = False, held_out_wordings: bool = False) -> None:
        self._rng = random.Random(seed)
        self._new_names = held_out_names
        self._new_wordings = held_out_wordings

    def ask(self, task: Task) -> Asked:
        """Return one request for a task."""
        rng = self._rng
        named, listed = rng.random() < 0.6, rng.random() < 0.5
        function = self._name() if named else task.name
        arguments = self._arguments(len(task.arguments)) if listed else task.arguments
        number = str(rng.randint(2, 99))
        wording = task.wordings[-1] if self._new_wordings else rng.choice(task.wordings[:-1])
        prompt = self._word(wording.replace("N", number) if "N" in task.body else wording, function if named else "",
                            arguments if listed else ())  # fmt: skip
        return Asked(prompt, write(task, function, arguments, number), function, task.given)

    def conversation(self) -> list[Turn]:
        """Return the turns of a conversation, (role, text), as training shows them."""
        rng = self._rng
        turns: list[Turn] = []
        if rng.random() < 0.2:
            turns.append(("system", rng.choice(SYSTEMS)))
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            turns += self._exchange()
        return turns

    def _exchange(self) -> list[Turn]:
        rng = self._rng
        kind = rng.random()
        if kind < 0.02:
            return [("user", rng.choice(("hello", "Hello!", "hi", "Hi there", "hey"))), ("assistant", GREETING)]
        if kind < 0.07:
            return [("user", self._nonsense()), ("assistant", UNKNOWN)]
        task = rng.choice(TASKS) if rng.random() < 0.85 else rng.choice(CONSTANTS)
        asked = self.ask(task)
        prompt = asked.prompt
        if not prompt.endswith((".", "?")):
            prompt += rng.choice(("", "", " in Python", ".", " in python."))
        for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 1, 4))):
            prompt = (
                f"{rng.choice(CHATTER)} {prompt}"
                if rng.random() < 0.6
                else f"{prompt}{rng.choice((' ', '. '))}{rng.choice(CHATTER)}"
            )
        turns = [("user", prompt), ("assistant", asked.answer)]
        if rng.random() < 0.08:
            new = self._name()
            renamed = asked.answer.replace(f"def {asked.function}(", f"def {new}(").replace(
                f" {asked.function}(", f" {new}("
            )
            turns += [("user", rng.choice(RENAMED).format(new)), ("assistant", renamed)]
        return turns

    def _nonsense(self) -> str:
        rng = self._rng
        opener = rng.choice(
            [
                "who is",
                "what is",
                "tell me about",
                "translate",
                "explain",
                "why is",
                "how old is",
                "write a poem about",
                "sing",
            ]
        )
        return f"{opener} {' '.join(self._letters(2, 8) for _ in range(rng.randint(1, 5)))}{rng.choice(('', '?', '.'))}"

    def _word(self, wording: str, function: str, arguments: tuple[str, ...]) -> str:
        rng = self._rng
        opener = HELD_OUT_OPENER if self._new_wordings else rng.choice(OPENERS)
        listed = " and ".join(filter(None, (", ".join(arguments[:-1]), *arguments[-1:])))
        if function and (arguments or rng.random() < 0.2) and rng.random() < 0.4:
            given = f"{function}({', '.join(arguments)})"
            if arguments:
                return opener.format(rng.choice((f" {given}", f" `{given}`")), wording)
        named = (
            rng.choice((f" called {function}", f" named {function}", f" {function}", f" `{function}`"))
            if function
            else ""
        )
        if not arguments:
            return opener.format(named, wording)
        plural = "s" if len(arguments) > 1 else ""
        asked = opener.format(named, wording)
        if asked.endswith("?") or rng.random() < 0.5:
            return f"{asked} {rng.choice((f'Use {listed} as the argument{plural}.', f'Call the argument{plural} {listed}.'))}".replace(
                "  ", " "
            )
        return f"{asked}{rng.choice((f', with the argument{plural} {listed}', f' with parameter{plural} {listed}', f', taking {listed}'))}"

    def _letters(self, shortest: int, longest: int) -> str:
        rng = self._rng
        length = rng.randint(shortest, longest)
        if rng.random() < 0.5:
            odd = rng.randint(0, 1)
            return "".join(rng.choice("aeiou" if (i + odd) % 2 else "bcdfghjklmnprstvwz") for i in range(length))
        return "".join(rng.choice(LETTERS) for _ in range(length))

    def _name(self) -> str:
        rng = self._rng
        if self._new_names:
            return self._letters(3, 5) + "ling" + (f"_{rng.choice(WORDS)}" if rng.random() < 0.4 else "")
        parts = [
            rng.choice(WORDS) if rng.random() < 0.5 else self._letters(1, 8) for _ in range(rng.choice((1, 1, 2, 2, 3)))
        ]
        name = "_".join(parts) + (str(rng.randint(1, 9)) if rng.random() < 0.1 else "")
        return name if name not in TAKEN and "ling" not in name else self._name()

    def _arguments(self, count: int) -> tuple[str, ...]:
        rng = self._rng
        if self._new_names:
            found = [self._letters(2, 3) + "ling" for _ in range(count)]
        elif rng.random() < 0.35:
            start = rng.randrange(len(LETTERS) - count)
            found = list(LETTERS[start : start + count]) if rng.random() < 0.6 else rng.sample(LETTERS, count)
        else:
            found = [rng.choice(WORDS) if rng.random() < 0.6 else self._letters(2, 7) for _ in range(count)]
        fit = (
            len(set(found)) == count
            and not TAKEN & set(found)
            and (self._new_names or not any("ling" in name for name in found))
        )
        return tuple(found) if fit else self._arguments(count)


def write(task: Task, function: str, arguments: tuple[str, ...], number: str = "") -> str:
    """Write a task's function with these names, fenced as Markdown."""
    names = {"F": function, "N": number, **dict(zip("ABC", arguments, strict=False))}
    body = "".join(names.get(part, part) for part in _split(task.body))
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"```python\ndef {function}({', '.join(arguments)}):\n{lines}\n```"


def _split(body: str) -> list[str]:
    parts, word = [], ""
    for char in body + " ":
        if char.isalnum() or char == "_":
            word += char
        else:
            parts += [word, char]
            word = ""
    return parts[:-1]
