"""`fastembed keys`: API keys with scopes and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastembed.commands.options import AsJson

commands = typer.Typer()
keys = typer.Typer(help="Issue API keys with scopes and limits; a running server takes changes over within a second.")
commands.add_typer(keys, name="keys", no_args_is_help=True)

KeysFile = Annotated[
    Path | None,
    typer.Option("--file", envvar="FASTEMBED_KEYS_FILE", help="The key file; by default that of `serve`."),
]
KeyName = Annotated[str, typer.Argument(help="The key's name or id.")]


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Who holds it, to tell keys apart.")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            help="chat, embeddings, audio, documents, sql, pipelines (paths of your own) or admin; several. "
            "By default all but admin.",
        ),
    ] = None,
    rpm: Annotated[int | None, typer.Option("--rpm", min=1, help="Most requests a minute.")] = None,
    tokens_per_day: Annotated[int | None, typer.Option(min=1, help="Most tokens a day (UTC), in and out.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 12h, 30d.")] = None,
    file: KeysFile = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key. Its secret is shown once; only a hash of it is kept. From then on the server asks for a key."""
    from fastembed.commands.keys import add as run

    raise typer.Exit(
        run(file, name, tuple(scope or ()), rpm=rpm, tokens=tokens_per_day, expires=expires, as_json=as_json)
    )


@keys.command("ls")
def list_keys(*, file: KeysFile = None, as_json: AsJson = False) -> None:
    """List the keys, what they may do, and what each has used today."""
    from fastembed.commands.keys import list_keys as run

    raise typer.Exit(run(file, as_json=as_json))


@keys.command("rm")
def remove(name: KeyName, *, file: KeysFile = None) -> None:
    """Take a key back: it is refused from now on."""
    from fastembed.commands.keys import remove as run

    raise typer.Exit(run(file, name))


@keys.command()
def rotate(name: KeyName, *, file: KeysFile = None, as_json: AsJson = False) -> None:
    """Give a key a new secret, which is shown once; the old one is refused. Files, limits and usage stay."""
    from fastembed.commands.keys import rotate as run

    raise typer.Exit(run(file, name, as_json=as_json))
