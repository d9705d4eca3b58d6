"""The command line. Commands load what they need when they run, so that `--help` answers at once.

Exit status: 0 all went well; 1 something failed (a file, a test, a request); 2 the command line or the configuration is
wrong; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from fastembed.cli import asking, configuration, documents, keys, lake, models, serving, speech
from fastembed.pipeline.errors import ConfigError, FastEmbedError

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130

app = typer.Typer(
    name="fastembed",
    help="A private multimodal server and stream processor on OpenVINO.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's markdown would cost a third of a second
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _group in (serving, configuration, asking, documents, lake, speech, models, keys):
    app.add_typer(_group.commands)


@app.callback(invoke_without_command=True)
def options(
    *,
    debug: Annotated[bool, typer.Option(envvar="FASTEMBED_DEBUG", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["FASTEMBED_DEBUG"] = "1"
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("fastembed-multimodal"))
        raise typer.Exit


def main() -> None:
    """Run the command line; errors of users are one or a few clear lines, `--debug` shows the rest."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], Any]) -> int:
    try:
        from fastembed.guards import check_installation

        check_installation()
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except FastEmbedError as error:
        return _complain(error, MISUSED if isinstance(error, ConfigError) else FAILED)
    except OSError as error:
        return _complain(error, FAILED)
    except Exception as error:  # noqa: BLE001 - the outermost place: a defect of ours, told in a line
        hint = "" if os.environ.get("FASTEMBED_DEBUG") else "; fastembed --debug shows where"
        return _complain(error, FAILED, f"internal error: {type(error).__name__}: {error}{hint}")
    return 0


def _complain(error: Exception, status: int, text: str | None = None) -> int:
    if os.environ.get("FASTEMBED_DEBUG"):
        traceback.print_exception(error)
    for line in (text or str(error)).splitlines() or [type(error).__name__]:
        typer.echo(f"fastembed: {line}", err=True)
    return status
