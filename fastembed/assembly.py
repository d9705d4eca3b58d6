"""Assembles the floors: the known components, the configuration to run, the resources its pipelines share."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastembed.definitions import with_resolved_models
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.folders import own_home
from fastembed.inference.library.sections import SECTIONS, wrong_names
from fastembed.inference.serving.downloads import Downloads
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.residency.footprints import Footprints
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.routing.router import Router
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.inference.serving.warmup.history import History
from fastembed.inference.serving.warmup.warmup import Warmup
from fastembed.lint.soundness import METRICS_PATH, soundness
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.load import Report, lint, load, parse
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.names import did_you_mean
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.registry import Registry
from fastembed.sinks.lake.database import Lakes
from fastembed.sinks.lake.retriever import LakeRetriever
from fastembed.sources.http import HttpRoutes
from fastembed.sources.websocket import WebsocketRoutes

DEFAULT_FILE: Final = "pipelines.yaml"
SERVED: Final = frozenset({"batches", "http", "websocket"})
"""Sources that need the HTTP server."""


def make_registry() -> Registry:
    """Return the components of this distribution, of entry points, and, once a file names them, of plug-ins."""
    return Registry({"source": "fastembed.sources", "operator": "fastembed.operators", "sink": "fastembed.sinks"})


def chosen_file(named: Path | None) -> Path | None:
    """Return the file to read: the one that was named, else ./pipelines.yaml; None: there is none, use the built-in."""
    if named is not None:
        return named
    here = Path(DEFAULT_FILE)
    return here if here.is_file() else None


def read_configuration(named: Path | None = None, *, metrics_path: str | None = METRICS_PATH) -> Configuration:
    """Read the chosen file, or the built-in one with paths relative to this folder. ConfigError has every problem.

    metrics_path: what no pipeline may serve.
    """
    file = chosen_file(named)
    registry = make_registry()
    if file is None:
        text = files("fastembed").joinpath(DEFAULT_FILE).read_text(encoding="utf-8")
        found = parse(
            text,
            registry=registry,
            sections=SECTIONS,
            check=wrong_names,
            environ=os.environ,
            file=f"built-in {DEFAULT_FILE}",
            base=Path(),
        )
    else:
        found = load(file, registry=registry, sections=SECTIONS, check=wrong_names, environ=os.environ)
    soundness(found, metrics_path=metrics_path).check()
    return with_resolved_models(found)


def lint_configuration(named: Path | None = None) -> Report:
    """Return what is wrong and what is odd with the chosen file."""
    file = chosen_file(named)
    if file is None:
        return Report(read_configuration())
    report = lint(file, registry=make_registry(), sections=SECTIONS, check=wrong_names, environ=os.environ)
    if report.configuration is None:
        return report
    found = soundness(report.configuration)
    warnings = tuple(dict.fromkeys((*report.warnings, *found.warnings)))
    return Report(None if found.errors else report.configuration, tuple(found.errors), warnings)


def make_resources(configuration: Configuration, devices: Devices | None = None, *, pull: bool = False) -> Resources:
    """Return what the pipelines share: the models, their breakers, and the routes that they serve.

    devices: instead of the machine's own. pull: fetch models that requests name and that are not here.
    """
    base = configuration.path.parent if configuration.path else Path()
    cache, footprints = own_home() / "compiled", Footprints(own_home() / "footprints.json")
    models = Models.from_sections(
        configuration.sections, base.absolute(), cache=cache, footprints=footprints, devices=devices
    )
    breakers = Breakers.from_sections(configuration.sections)
    router = Router(models, breakers=breakers)
    warmup = Warmup.from_sections(configuration.sections, models, History(own_home() / "usage.duckdb"))
    speech = SpeechEngines(models, breakers=breakers)
    lakes, routes, sockets = Lakes(), HttpRoutes(), WebsocketRoutes()
    retriever = LakeRetriever(lakes, models)
    resources = Resources(models, breakers, router, warmup, speech, lakes, retriever, routes, sockets)
    if pull:
        downloads = Downloads(models, arrived=router.look_again)
        resources.add(downloads)
        resources.get(HttpRoutes).prepare = downloads.prepare
    return resources


async def close_resources(resources: Resources) -> None:
    """Close the engines after they have served what was admitted."""
    if (downloads := resources.find(Downloads)) is not None:
        await downloads.close()
    await resources.get(Warmup).close()
    await resources.get(SpeechEngines).close()
    await resources.get(Models).close()


def only(configuration: Configuration, names: tuple[str, ...]) -> Configuration:
    """Return the configuration with these pipelines only. ConfigError says which there are."""
    unknown = [name for name in names if name not in configuration.pipelines]
    if unknown:
        known = list(configuration.pipelines)
        near = did_you_mean(unknown[0], known)
        raise ConfigError([f"found no pipeline {unknown[0]!r}, expected one of {', '.join(known) or 'none'}{near}"])
    selected = {name: plan for name, plan in configuration.pipelines.items() if name in names}
    return replace(configuration, pipelines=selected)
