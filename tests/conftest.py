"""What every test stands on."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Models that somebody pulled to this machine, and what was compiled for it, are no part of a test.
_home = tempfile.mkdtemp(prefix="fastembed-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["FASTEMBED_HOME"] = _home
os.environ.pop("FASTEMBED_MODELS", None)
