"""What stands where in the server: an endpoint has what is its own, `wire` what several share."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastembed.server.endpoints.registry import OWN_ENDPOINTS, PIPELINE_ENDPOINTS

ROOT = Path(__file__).parents[3]
WIRE = "fastembed.server.wire."
MODULES = {
    "fastembed." + ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in ("server", "fastembed")
    for path in (ROOT / folder).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


IMPORTS = {name: {found for found in imported(path) if found in MODULES} for name, path in MODULES.items()}


def users(module: str) -> set[str]:
    """Return the endpoints, or the other rooms, that need a module, directly or through others of its room."""
    found: set[str] = set()
    for name, needs in IMPORTS.items():
        if module not in needs:
            continue
        parts = name.split(".")
        found |= users(name) if name.startswith(WIRE) else {".".join(parts[:4] if "endpoints" in parts else parts[:3])}
    return found


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(WIRE) and "__init__" not in name])
def test_wire_holds_only_what_several_endpoints_share(module):
    assert len(users(module)) > 1, f"only {users(module)} needs it: it belongs there"


@pytest.mark.parametrize("endpoint", PIPELINE_ENDPOINTS.values(), ids=PIPELINE_ENDPOINTS)
def test_a_pipelines_endpoint_answers_in_the_file_that_describes_it(endpoint):
    module = inspect.getmodule(endpoint.answer)
    assert module is not None
    assert endpoint in vars(module).values()
    assert endpoint.operation.answer, "an endpoint says what it answers"


def test_every_endpoint_is_registered():
    folder = ROOT / "server" / "endpoints"
    defining = {
        path.parent.name if path.name == "__init__.py" else path.stem
        for path in folder.rglob("*.py")
        if any(text in path.read_text(encoding="utf-8") for text in ("= PipelineEndpoint(", "\nOPERATIONS: Final"))
    }
    registered = {
        inspect.getmodule(endpoint.answer).__name__.rpartition(".")[2] for endpoint in PIPELINE_ENDPOINTS.values()
    }
    registered |= {module.__name__.rpartition(".")[2] for module in OWN_ENDPOINTS}
    assert defining == registered
