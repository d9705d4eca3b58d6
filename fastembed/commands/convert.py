"""`fastembed convert`: original weights into OpenVINO's format."""

from __future__ import annotations

import shlex
import shutil

import typer

from fastembed.inference.library.hub.export import PROGRAM, Weights, export_of, run
from fastembed.inference.library.hub.reference import Reference, read_reference, split_name
from fastembed.pipeline.errors import FastEmbedError


def convert(name: str, *, task: str | None, weights: Weights | None, print_only: bool) -> int:
    """Print the optimum-cli line of a known model or of `organisation/name`, and run it where that is installed."""
    known, revision = split_name(name)
    source = Reference(known.source, revision) if known else read_reference(name)
    if source is None:
        raise FastEmbedError(
            f"found {name!r}, expected a known model (fastembed models) or a hub id: organisation/name"
        )
    request = export_of(known, source, task=task, weights=weights)
    typer.echo(shlex.join(request.command()))
    if print_only:
        return 0
    if request.folder.is_dir():
        typer.echo(f"{name} was here already: {request.folder}; to make it again: fastembed rm {name}", err=True)
        return 0
    if shutil.which(PROGRAM) is None:
        typer.echo(f"{PROGRAM} is not installed; in an environment of its own: {request.install}", err=True)
        typer.echo("then run the line above there, or fastembed convert with it on the path", err=True)
        return 1
    typer.echo(f"{name} is here: {run(request)}")
    return 0
