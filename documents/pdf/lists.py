"""List items: their bullets and numbers."""

import re

_BULLET = re.compile(r"^(?P<marker>[•·▪▫‣◦■□●○◆◇▶►➢➤✓✔❖♦⁃∙∗]|[-–—*+o])\s+(?=\S)")
_NUMBERED = re.compile(
    r"^(?P<marker>\(?(?:\d{1,3}|[a-z]|[ivx]{1,5}|[A-Z])[.)]|\[\d{1,3}\]|\((?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})\))\s+(?=\S)"
)
_SURE = set("•·▪▫‣◦■□●○◆◇▶►➢➤✓✔❖♦⁃∙∗")


def marker_of(text: str) -> str:
    """Return the bullet or number that starts a line (`•`, `-`, `3.`, `(a)`, `[12]`), empty for none."""
    match = _BULLET.match(text) or _NUMBERED.match(text)
    return match["marker"] if match else ""


def is_bullet(marker: str) -> bool:
    """Whether a marker is a bullet, not a number."""
    return bool(marker) and not any(c.isalnum() for c in marker.replace("o", ""))


def is_sure(marker: str) -> bool:
    """Whether a marker starts an item wherever it stands; dashes and numbers may also start a line of a sentence."""
    return marker in _SURE or marker.startswith("[")
