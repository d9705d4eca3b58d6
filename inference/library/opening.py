"""A process opens its models one at a time."""

from __future__ import annotations

import threading
from typing import Final

OPENING: Final = threading.RLock()
"""Hold it while OpenVINO reads and compiles: threads that did so at once have waited for each other for ever.

Whatever opens a model takes it itself, so that no caller can forget to; not on an event loop that others wait for.
"""
