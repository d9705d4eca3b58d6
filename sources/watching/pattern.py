"""Which names a watched folder takes: globs with braces, and what is never taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from fastembed.pipeline.errors import InvalidInput

PARTIAL: Final = (".tmp", ".part", ".partial", ".crdownload", ".download", ".swp", "~")
"""How files end that some program is still writing."""

_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test for names relative to a folder, with forward slashes.

    `*` and `?` stay within one folder, `**/` is any depth, also none; `[ab]`, `[!ab]`; `{pdf,docx}` is either. Upper
    and lower case are the same: scanners write `.PDF`.
    """
    alternatives = "|".join(_translate(glob) for glob in _expand(pattern))
    try:
        compiled = re.compile(alternatives, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        msg = f"found the pattern {pattern!r}, expected a glob such as **/*.{{pdf,docx}}: {error}"
        raise InvalidInput(msg, param="match") from error
    return lambda name: compiled.fullmatch(name) is not None


def any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for names that at least one of the patterns matches."""
    tests = [matcher(pattern) for pattern in patterns]
    return lambda name: any(test(name) for test in tests)


def is_hidden(name: str) -> bool:
    """Whether a file or folder name (its last part) is hidden, or of a file that is still being written."""
    return name.startswith((".", "~$")) or name.lower().endswith(PARTIAL)


def _expand(pattern: str) -> list[str]:
    """Return the patterns that a pattern with braces stands for, the innermost braces first."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [full for choice in found[1].split(",") for full in _expand(before + choice + after)]


def _translate(glob: str) -> str:
    """Return the regular expression of a glob with no braces."""
    out = []
    at = 0
    while at < len(glob):
        rest = glob[at:]
        if rest.startswith("**/"):
            out.append("(?:.*/)?")
            at += 3
        elif rest.startswith("**"):
            out.append(".*")
            at += 2
        elif rest[0] == "*":
            out.append("[^/]*")
            at += 1
        elif rest[0] == "?":
            out.append("[^/]")
            at += 1
        elif rest[0] == "[" and (end := glob.find("]", at + 2)) > 0:
            choices = glob[at + 1 : end].replace("\\", r"\\")
            out.append(f"[^{choices[1:]}]" if choices[0] == "!" else f"[{choices}]")
            at = end + 1
        else:
            out.append(re.escape(rest[0]))
            at += 1
    return "".join(out)
