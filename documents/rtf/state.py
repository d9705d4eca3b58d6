"""What an RTF reader knows and remembers: destinations, the state of groups and paragraphs, fonts, styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SKIPPED: Final = frozenset(
    {
        *("colortbl", "listtable", "listoverridetable", "revtbl", "rsidtbl", "filetbl", "generator", "themedata"),
        *(
            "colorschememapping",
            "datastore",
            "latentstyles",
            "xmlnstbl",
            "nonshppict",
            "shprslt",
            "bkmkstart",
            "bkmkend",
        ),
        *(
            "fldinst",
            "objdata",
            "objclass",
            "nonesttables",
            "sp",
            "pnseclvl",
            "template",
            "private",
            "stylerestrictions",
        ),
        *("ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "xe", "tc", "rxe", "mmathPr", "passwordhash"),
        *("atnid", "atnref", "atndate", "atrfstart", "atrfend", "atntime", "pgdsctbl", "userprops", "docvar", "shpgrp"),
    }
)
FLOWS: Final = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), "header"),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), "footer"),
    "footnote": "footnote",
    "annotation": "comment",
    "shptxt": "box",
}
INFO: Final = {
    "title": "title",
    "author": "author",
    "subject": "subject",
    "keywords": "keywords",
    "doccomm": "description",
}
COLLECTED: Final = frozenset({*INFO, "fonttbl", "stylesheet", "listtext", "pntext", "atnauthor", "pict"})
KNOWN_STARRED: Final = frozenset({"shpinst", "shppict", "shptxt", "annotation", "atnauthor", "ud", "footnote"})


@dataclass(slots=True)
class Group:
    """The state between two braces."""

    target: str = "body"
    codec: str | None = None
    fallback: int = 1
    hidden: bool = False
    bold: bool = False
    size: int = 24
    ends: Callable[[], None] | None = None


@dataclass(slots=True)
class ParagraphState:
    """What the word pard resets."""

    style: int = 0
    outline: int | None = None
    in_table: bool = False
    depth: int = 0
    marker: str | None = None
    nested: int = 1


@dataclass(slots=True)
class RtfStyle:
    """A paragraph style. level: of the headings that have it, 0: of titles, None: of neither."""

    level: int | None = None


@dataclass(slots=True)
class Tables:
    """What the head of the file defines."""

    fonts: dict[int, str | None] = field(default_factory=dict)
    styles: dict[int, RtfStyle] = field(default_factory=dict)
    info: dict[str, str] = field(default_factory=dict)
