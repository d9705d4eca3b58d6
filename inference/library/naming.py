"""What to say of a model's name that nothing has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

_OF_OTHERS: Final = re.compile(
    r"(gpt-|chatgpt|o[1-9](-|$)|text-embedding-|text-davinci|davinci|whisper-1$|tts-1|dall-e|omni-moderation|claude|gemini-)"
)
"""Names of services: their files are nowhere to be had."""
_HUB_ID: Final = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_SHOWN: Final = 8


def is_of_others(name: str) -> bool:
    """Whether a name is one of a cloud service's, which clients have built in."""
    return _OF_OTHERS.match(name.casefold()) is not None


def unknown(name: str, task: str, here: Sequence[str], others: Iterable[str] = ()) -> str:
    """Return the message. here: the models of the task that can be asked for. others: names that are known too."""
    if is_of_others(name):
        expected = ", ".join(here[:_SHOWN]) or f"a model for {task}"
        target = here[0] if len(here) == 1 else "auto"
        return (
            f"found {name!r:.80}, a model of a service, expected one that is here: {expected}; to have one of them "
            f"answer to this name, put it into pipelines.yaml: aliases: {{{name:.80}: {target}}}"
        )
    folded = {known.casefold(): known for known in (*here, *others)}
    near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
    expected = ", ".join(near or here[:_SHOWN]) or f"a model for {task}"
    hub = f"is fetched with fastembed pull {name:.80} and declared" if _HUB_ID.fullmatch(name) else "is declared"
    return (
        f"found no model {name!r:.80}, expected {expected}; another one {hub} in `models:` (fastembed models lists all)"
    )
