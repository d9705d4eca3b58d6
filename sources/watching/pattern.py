"""Which names a watched folder takes: globs with braces, and what is never taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from fastembed.pipeline.errors import InvalidInput

PARTIAL: Final = (
    *(".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".aria2", ".!ut"),
    *(".swp", "~"),
)
"""How files end that some program is still writing."""
_LEFT_BEHIND: Final = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})
"""What systems leave in folders, which nobody dropped there."""

_BRACES: Final = re.compile(r"(?<!\[)\{([^{}]*)\}")
_BRACKETS: Final = re.compile(r"\[!?.[^]]*\]")
_WILD: Final = re.compile(r"\*+/?|\?|\[!?.[^]]*\]")


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test for names relative to a folder, with forward slashes.

    `*` and `?` stay within one folder, `**/` is any depth, also none; `[ab]`, `[!ab]`; `{pdf,docx}` is either. Upper
    and lower case are the same: scanners write `.PDF`. A bracket or brace of a name itself is written `[[]`, `[{]`.
    InvalidInput: it is no glob, or one that no name can match.
    """
    try:
        globs = alternatives(pattern)
        compiled = re.compile("|".join(map(_translate, globs)), re.IGNORECASE | re.DOTALL)
    except (re.error, ValueError) as error:
        msg = f"found the pattern {pattern!r}, expected a glob such as **/*.{{pdf,docx}}: {error}"
        raise InvalidInput(msg, param="match") from error
    return lambda name: compiled.fullmatch(name) is not None


def alternatives(pattern: str) -> list[str]:
    """Return the globs with no braces that a pattern stands for. ValueError: one of them can match no name."""
    globs = _expand(pattern)
    for glob in globs:
        if why := _impossible(glob):
            raise ValueError(why)
    return globs


def sample(glob: str) -> str:
    """Return a short name that a glob with no braces matches."""
    literal = re.sub(r"\[(!?)(.)[^]]*\]", lambda found: "x" if found[1] else found[2], glob.replace("**/", ""))
    return re.sub(r"\*+|\?", "x", literal)


def may_meet(one: str, other: str) -> bool:
    """Whether a name may match both of two globs with no braces, as far as what is fixed at their ends tells."""
    (start, end), (other_start, other_end) = _fixed(one), _fixed(other)
    starts = start.startswith(other_start) or other_start.startswith(start)
    return starts and (end.endswith(other_end) or other_end.endswith(end))


def any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for names that at least one of the patterns matches."""
    tests = [matcher(pattern) for pattern in patterns]
    return lambda name: any(test(name) for test in tests)


def check_takes_any(match: str, ignored: Callable[[str], bool]) -> None:
    """Raise InvalidInput where no file can be taken: each is ignored, hidden or still being written."""
    samples = [sample(glob) for glob in alternatives(match)]
    if all(not name or name.endswith("/") or ignored(name) or any(map(is_hidden, name.split("/"))) for name in samples):
        msg = (
            f"found the pattern {match!r}, which takes no file: what it matches is ignored, hidden, "
            "no file, or one that is still being written; expected a glob such as **/*.{pdf,docx}"
        )
        raise InvalidInput(msg, param="match")


def is_hidden(name: str) -> bool:
    """Whether a file or folder name (its last part) is hidden, a system's, or of a file that is still being written."""
    lower = name.lower()
    return lower.startswith((".", "~$")) or lower.endswith(PARTIAL) or lower in _LEFT_BEHIND


def _expand(pattern: str) -> list[str]:
    """Return the patterns that a pattern with braces stands for, the innermost braces first."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after, choices = pattern[: found.start()], pattern[found.end() :], found[1].split(",")
    if spaced := next((choice for choice in choices if choice != choice.strip()), None):
        raise ValueError(f"the alternative {spaced!r} begins or ends with a blank")
    return [full for choice in choices for full in _expand(before + choice + after)]


def _impossible(glob: str) -> str:
    """Return why no name can match a glob; "" where one can."""
    open_bracket = _BRACKETS.sub("", glob)
    reasons = (
        (not glob, "it is empty, or has an empty alternative"),
        (glob != glob.strip(), f"{glob!r} begins or ends with a blank"),
        ("[" in open_bracket, f"the [ of {glob!r} is not closed"),
        ("{" in open_bracket or "}" in open_bracket, f"a brace of {glob!r} has no partner"),
        (glob.startswith("/"), "names start from the folder, not from /"),
        (any(part in (".", "..") for part in glob.split("/")), "names have no . and no .. in them"),
        ("\\" in open_bracket, "folders are separated by /, not by \\"),
        ("//" in glob, "names have no // in them"),
    )
    return next((reason for wrong, reason in reasons if wrong), "")


def _fixed(glob: str) -> tuple[str, str]:
    """Return what every name begins and ends with that a glob matches, in lower case."""
    return _WILD.split(glob, maxsplit=1)[0].casefold(), _WILD.split(glob)[-1].casefold()


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
            negated = glob[at + 1] == "!"
            choices = re.sub(r"([\\\[\]^&~|])", r"\\\1", glob[at + 1 + negated : end])
            out.append(f"[^{choices}]" if negated else f"[{choices}]")
            at = end + 1
        else:
            out.append(re.escape(rest[0]))
            at += 1
    return "".join(out)
