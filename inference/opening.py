"""Models are opened by one thread at a time."""

from __future__ import annotations

import threading
from typing import Final

OPENING: Final = threading.Lock()
"""Hold it while OpenVINO reads and compiles: threads that did so at once have waited for each other for ever."""
