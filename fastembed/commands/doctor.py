"""`fastembed doctor`: what is here, which device runs each model, and how well; to be pasted into a bug report."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from fastembed.assembly import close_resources, make_resources, read_configuration
from fastembed.commands.doctor_probes import PROBES
from fastembed.inference.library.catalog import LocatedModel, is_pocket
from fastembed.inference.library.device_memory import machine_memory
from fastembed.inference.library.devices import Devices
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources

_PACKAGES = ("fastembed-multimodal", "openvino", "openvino-genai", "openvino-tokenizers", "numpy", "duckdb")
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """How a model did on a device. right: None, nothing is asked of its task; False also if it did not load."""

    name: str
    task: str
    device: str
    right: bool | None
    detail: str


def doctor(config: Path | None, *, everything: bool) -> int:
    """Print the machine, then each task's model with one answer; 1 if one of them is wrong.

    everything: all models whose files are here, the tiny ones too; else those that `auto` means.
    """
    configuration = read_configuration(config)
    resources = make_resources(configuration)
    models = resources.get(Models)
    for line in machine_lines(models.devices):
        typer.echo(line)
    findings = asyncio.run(_ask_all(resources, everything=everything))
    typer.echo("")
    for found in findings:
        state = {True: "right", False: "WRONG", None: "not asked"}[found.right]
        typer.echo(f"{found.task:<14} {found.name:<24} {found.device:<6} {state:<9} {found.detail}")
    wrong = sum(found.right is False for found in findings)
    typer.echo(f"\n{wrong} of {len(findings)} are wrong" if wrong else "\nall answers are right")
    return int(wrong > 0)


def machine_lines(devices: Devices) -> Iterator[str]:
    """Yield what a bug report needs of the machine: versions, processor, memory, devices."""
    yield "  ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    memory = machine_memory()
    total = f"{memory.total / _GB:.1f} GB" if memory.total else "unknown"
    free = f"{memory.free / _GB:.1f} GB free" if memory.free else "free unknown"
    yield f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores, memory {total} ({free})"
    for device in devices.available:
        yield f"{device}: {devices.core.get_property(device, 'FULL_DEVICE_NAME')}"
    for family in ("NPU", "GPU"):
        if not any(device.split(".")[0] == family for device in devices.available):
            yield f"{family}: {_absent(family)}"


def _absent(family: str) -> str:
    """Return what is known of a device that OpenVINO does not list."""
    nodes = sorted(Path("/dev").glob("accel/accel*" if family == "NPU" else "dri/renderD*"))
    if nodes and not os.access(nodes[0], os.R_OK | os.W_OK):
        return f"{nodes[0]} is there, but this user may not open it (group render)"
    if nodes:
        return f"{nodes[0]} is there, but no driver of Intel's {family} answers OpenVINO: install or update it"
    system = "the kernel shows none" if sys.platform == "linux" else "OpenVINO lists none"
    return f"{system}; if the machine has one, its driver is missing"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


async def _ask_all(resources: Resources, *, everything: bool) -> list[Finding]:
    models = resources.get(Models)
    try:
        return [await _ask(models, model) for model in _chosen(models, everything=everything)]
    finally:
        await close_resources(resources)


def _chosen(models: Models, *, everything: bool) -> list[LocatedModel]:
    """Return the models to ask: with files, and for each task the first, or all."""
    there = [model for model in models.catalog.placed() if model.folder is not None and model.task is not None]
    if everything:
        return there
    first: dict[str, LocatedModel] = {}
    for model in there:
        first.setdefault(str(model.task), model)
    return list(first.values())


async def _ask(models: Models, model: LocatedModel) -> Finding:
    task = str(model.task)
    probe = PROBES.get(task)
    if probe is None:
        return Finding(model.name, task, "", None, "no question is known for this task")
    device, began = "", time.perf_counter()
    try:
        device = models.choices(model)[0]
        async with models.lend(model.name, task, device=device):
            loaded_s = time.perf_counter() - began
            right, detail = await probe(models, model.name, device)
            resident = models.residents.known.get((model.name, device))
            size = f", {resident.measured / 1e6:.0f} MB" if resident and resident.measured else ""
    except Exception as error:  # noqa: BLE001 - a model's boundary: the others are asked all the same
        return Finding(model.name, task, device, right=False, detail=f"{type(error).__name__}: {error}"[:300])
    if is_pocket(model.spec) and task in ("chat", "code", "document"):
        return Finding(model.name, task, device, None, f"{detail}; a tiny model, loaded in {loaded_s:.1f} s{size}")
    return Finding(model.name, task, device, right, f"{detail}; loaded in {loaded_s:.1f} s{size}")
