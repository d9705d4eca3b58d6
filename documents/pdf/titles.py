"""Titles as strings: numbers in front of them, and when two spellings name the same section."""

import re
import unicodedata

_NUMBER = re.compile(
    r"^(?:(?:chapter|section|appendix|part|kapitel|chapitre|cap[ií]tulo)\s+)?"
    r"(?P<number>(?:\d{1,3}|[A-Z]|[IVX]{1,5})(?:\.\d{1,3}){0,5})(?P<dot>[.:)]?)(?=\s)\s+(?P<rest>\S.*)$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:chapter|appendix|part|section|kapitel|anhang|teil|chapitre|annexe|partie|cap[ií]tulo|ap[eé]ndice|parte)"
    r"\s+(?:\d{1,3}|[A-Z]|[IVXLC]{1,6})\s*[.:]?$",
    re.IGNORECASE,
)
_WORD_LABEL = re.compile(
    r"^(?:chapter|appendix|part|section|kapitel|anhang|teil|cap[ií]tulo)\s+\S+?[.:]?\s+", re.IGNORECASE
)
_NUMBER_ONLY = re.compile(r"^(?:\d{1,3}|[A-Z]|[IVX]{1,5})(?:\.\d{1,3}){0,5}\.?$")


def folded(title: str) -> str:
    """Return the title's letters and digits in lower case, accents and everything else removed."""
    plain = unicodedata.normalize("NFKD", title).casefold()
    return "".join(c for c in plain if c.isalnum())


def split_number(title: str) -> tuple[str, str]:
    """Return a title's number (`2.3`, `A`, empty for none) and the rest."""
    match = _NUMBER.match(title.strip())
    if match is None:
        return "", title.strip()
    number = match["number"]
    if number.isalpha() and number.islower():
        return "", title.strip()
    # "A tale of two cities" starts with a word; "A Proofs" with the number of an appendix.
    if number.isalpha() and not match["dot"] and not _WORD_LABEL.match(title) and not match["rest"][0].isupper():
        return "", title.strip()
    return number, match["rest"].strip()


def depth_of(title: str) -> int:
    """Return how many parts a title's number has, 0 for a title without one."""
    number, _ = split_number(title)
    return number.count(".") + 1 if number else 0


def is_label(text: str) -> bool:
    """Whether a line is only a label such as `Chapter 3`, whose title stands in the next one."""
    return bool(_LABEL.match(text.strip()))


def is_number(text: str) -> bool:
    """Whether a line is only a section number."""
    return bool(_NUMBER_ONLY.match(text.strip()))


def spellings(title: str) -> set[str]:
    """Return the folded spellings under which a section may be printed: with its number and without it."""
    _, rest = split_number(title)
    return {s for s in (folded(title), folded(rest), folded(_WORD_LABEL.sub("", title))) if s}
