"""What every test stands on."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

from tests.e2e.browser import find_browser

# Models that somebody pulled to this machine, and what was compiled for it, are no part of a test.
_home = tempfile.mkdtemp(prefix="fastembed-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["FASTEMBED_HOME"] = _home
os.environ.pop("FASTEMBED_MODELS", None)

# Rather left out than skipped: a machine without a browser cannot run it, and the report says that it was not run.
collect_ignore = [] if find_browser() else ["e2e/test_page.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--storms", type=int, default=8, help="how many storms tests/e2e/test_storms.py has")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line("browser test left out: no chromium on this machine (tests/e2e/test_page.py)")
