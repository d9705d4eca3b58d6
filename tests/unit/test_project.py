"""The project itself: what it installs, what it ships, and that its names stay light to import."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FLOORS = ("server", "sources", "operators", "sinks", "documents", "inference", "pipeline", "models")
"""The top-level folders that are installed below `fastembed`, to which it has links for the tools."""
MAX_RUNTIME_BYTES = 1_300_000_000
MAX_WHEEL_BYTES = 100_000_000
"""What package indexes take."""
FORBIDDEN = re.compile(
    r"torch|torchvision|torchaudio|transformers|sentence-transformers|onnxruntime|pyarrow|nvidia-.*|cuda-.*"
)


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def runtime_distributions(requirements: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """What these requirements bring along, by name, as it is installed here."""
    found: dict[str, importlib.metadata.Distribution] = {}
    todo = [Requirement(text) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        key = (normalised(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = importlib.metadata.distribution(requirement.name)
        for text in found[key[0]].requires or ():
            needed = Requirement(text)
            extras = {"", *requirement.extras}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needed)
    return found


@pytest.fixture(scope="module")
def runtime() -> dict[str, importlib.metadata.Distribution]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return runtime_distributions(declared)


def constraints() -> Iterator[Requirement]:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout."""
    tree = tmp_path_factory.mktemp("tree")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    build = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
    made = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    return tree / made.stdout.split()[-1]


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_runtime_brings_no_torch_no_transformers_and_no_cuda(
    runtime: dict[str, importlib.metadata.Distribution],
) -> None:
    assert [name for name in runtime if FORBIDDEN.fullmatch(name)] == []


def test_the_constraints_bring_no_torch_no_transformers_and_no_cuda() -> None:
    assert [line.name for line in constraints() if FORBIDDEN.fullmatch(normalised(line.name))] == []


def test_the_runtime_stays_under_its_size(runtime: dict[str, importlib.metadata.Distribution]) -> None:
    size = sum(
        path.stat().st_size
        for distribution in runtime.values()
        for file in distribution.files or ()
        if (path := Path(str(distribution.locate_file(file)))).is_file()
    )
    assert size < MAX_RUNTIME_BYTES, f"{size / 1e6:.0f} MB of runtime packages"


def test_every_runtime_package_has_an_exact_version_in_the_constraints(
    runtime: dict[str, importlib.metadata.Distribution],
) -> None:
    pinned = {normalised(line.name) for line in constraints()}
    assert sorted(set(runtime) - pinned) == []


def test_the_constraints_are_exact_versions_and_name_no_place_to_fetch_them() -> None:
    for requirement in constraints():
        assert requirement.url is None
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], str(requirement)


def test_installed_versions_are_those_of_the_constraints(
    runtime: dict[str, importlib.metadata.Distribution],
) -> None:
    wanted = {normalised(line.name): line.specifier for line in constraints()}
    wrong = [f"{name} {found.version}" for name, found in runtime.items() if found.version not in wanted[name]]
    assert wrong == []


def test_the_wheel_holds_every_module_and_model_under_one_name(names: set[str]) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {name for name in tracked.split("\0") if name and not (ROOT / name).is_symlink()}
    floors = {f"fastembed/{name}" for name in files if name.split("/")[0] in FLOORS}
    face = {name for name in files if name.startswith("fastembed/")}
    assert {"fastembed/models/minilm/openvino_model.bin", "fastembed/models/silero/LICENSE"} <= names
    assert names >= face | {name for name in floors if Path(name).name != ".gitignore"}


def test_the_wheel_is_no_larger_than_an_index_takes(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_the_wheel_installs_nothing_beside_fastembed(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"fastembed"}


APPLICATION = '''\
"""An application whose own modules are called like the product's folders."""

import asyncio

import models
import pipeline.steps
import server
from fastembed import FastEmbedClient, FastEmbedServer


async def embed(url):
    async with FastEmbedClient(base_url=url) as client:
        answer = await client.embeddings.create(input=[models.TEXT], model="auto")
        return len(answer.data[0].embedding)


with FastEmbedServer(port=0) as running:
    print(pipeline.steps.OWN, server.OWN, asyncio.run(embed(running.url)))
'''


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A folder with main.py and modules called models, server and pipeline."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    (tmp_path / "pipeline" / "steps.py").write_text("OWN = 'own steps'\n")
    (tmp_path / "models.py").write_text("TEXT = 'Snow is falling.'\n")
    (tmp_path / "server.py").write_text("OWN = 'own server'\n")
    (tmp_path / "main.py").write_text(APPLICATION)
    return tmp_path


def run_application(python: Path, folder: Path) -> str:
    command = [str(python), "main.py"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout.strip().splitlines()[-1]


def test_an_application_with_a_server_module_of_its_own_uses_this_installation(application: Path) -> None:
    assert run_application(Path(sys.executable), application) == "own steps own server 384"


def test_an_application_with_a_server_module_of_its_own_uses_the_wheel(
    application: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = tmp_path_factory.mktemp("venv")
    venv.create(environment, with_pip=False, symlinks=True)
    packages = next((environment / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # Dependencies come from here; a path file's own path files are not read, so an editable install is not seen.
    shared = [folder for folder in sys.path if Path(folder).name == "site-packages"]
    (packages / "dependencies.pth").write_text("\n".join(shared) + "\n")
    python = environment / "bin" / "python"
    where = "import fastembed.server.app as app; print(app.__file__)"
    found = subprocess.run([python, "-c", where], cwd=application, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()) == packages / "fastembed" / "server" / "app.py"
    assert run_application(python, application) == "own steps own server 384"


def test_every_floor_has_its_link_in_fastembed() -> None:
    links = {path.name: str(path.readlink()) for path in (ROOT / "fastembed").iterdir() if path.is_symlink()}
    assert links == {name: f"../{name}" for name in (*FLOORS, "examples")}


def test_importing_fastembed_loads_no_heavy_package() -> None:
    heavy = "{'openvino', 'docling', 'duckdb', 'numpy', 'starlette', 'uvicorn', 'av', 'rich'}"
    code = f"import sys, fastembed; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_the_floors_init_files_stay_empty() -> None:
    for floor in FLOORS:
        if floor == "inference":
            continue  # it keeps OpenVINO from sending an event at every import, and says so
        lines = (ROOT / floor / "__init__.py").read_text().strip().splitlines()
        assert len(lines) <= 1, f"{floor}/__init__.py has {len(lines)} lines"


def test_no_source_file_is_longer_than_its_limit() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for floor in ("fastembed", *FLOORS)
        for path in (ROOT / floor).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def install(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the installer for a virtual environment in `folder` with this interpreter."""
    command = ["sh", str(ROOT / ".ci" / "install"), str(folder / "venv")]
    return subprocess.run(command, env={**os.environ, "PYTHON": python}, capture_output=True, text=True, check=False)


def test_the_installer_names_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    refused = install(tmp_path, "no-such-python")
    assert refused.returncode == 1
    assert "PYTHON=no-such-python is not a program on this machine" in refused.stderr


def test_the_installer_says_that_an_interpreter_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    refused = install(tmp_path, str(old))
    assert refused.returncode == 1
    assert "is Python 3.9.2, expected Python 3.11 or newer" in refused.stderr


def test_the_installer_and_ci_are_valid_shell_programs() -> None:
    for shell, script in (("sh", "install"), ("bash", "run")):
        assert (ROOT / ".ci" / script).stat().st_mode & 0o111
        checked = subprocess.run([shell, "-n", str(ROOT / ".ci" / script)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
