"""What every test stands on."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile

import pytest

from tests.clients import environment as clients
from tests.e2e.browser import find_browser
from tests.real import models as real

# Models that somebody pulled to this machine, and what was compiled for it, are no part of a test.
_home = tempfile.mkdtemp(prefix="fastembed-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["FASTEMBED_HOME"] = _home
os.environ.pop("FASTEMBED_MODELS", None)

# Rather left out than skipped: a machine without a browser cannot run it, and the report says that it was not run.
collect_ignore = [] if find_browser() else ["e2e/test_page.py"]
if not clients.has_python():
    collect_ignore.append("clients/test_clients.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--storms", type=int, default=8, help="how many storms tests/e2e/test_storms.py has")
    parser.addoption("--requests", type=int, default=600, help="how many tests/e2e/test_mutated_requests.py sends")


def pytest_configure(config: pytest.Config) -> None:
    """Get real models before the workers start, if tests of them are asked for."""
    folder = config.rootpath / "tests" / "real"
    paths = [(config.invocation_params.dir / str(argument).partition("::")[0]).resolve() for argument in config.args]
    if not hasattr(config, "workerinput") and any(
        path == folder or path in folder.parents or folder in path.parents for path in paths
    ):
        os.environ[real.LEFT_OUT] = json.dumps(real.get_all())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in clients.left_out():
        terminalreporter.write_line(line)
    if "e2e/test_page.py" in collect_ignore:
        terminalreporter.write_line("browser test left out: no chromium on this machine (tests/e2e/test_page.py)")
    for name, reason in real.left_out().items():
        terminalreporter.write_line(f"tests of {name} left out (tests/real/{real.FILES[name]}): {reason}")
