"""Files of older programs (DOC, XLS, PPT) and XLSB through LibreOffice where it is installed; it is no dependency."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fastembed.documents.formats import Format
from fastembed.pipeline.errors import Unavailable, Unprocessable, UnsupportedMedia

_PROGRAMS: Final = ("soffice", "libreoffice")
_PLACES: Final = (  # where its packages put it, beside those on the PATH
    "/usr/lib/libreoffice/program",
    "/opt/libreoffice/program",
    "/Applications/LibreOffice.app/Contents/MacOS",
)
NEWER: Final = {Format.DOC: Format.DOCX, Format.XLS: Format.XLSX, Format.PPT: Format.PPTX, Format.XLSB: Format.XLSX}
LIMIT_S: Final = 180.0
_GUARD: Final = 'exec 3<&0; "$@" </dev/null & office=$!; { cat <&3 >/dev/null; kill -KILL 0; } & wait $office'
"""Runs a command, and ends it with all that it started when the pipe ends, as it does when its parent is killed."""


def program() -> str | None:
    """Return the path of LibreOffice's program, None where it is not installed."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
    return next((found for name in _PROGRAMS if (found := shutil.which(name, path=search))), None)


@contextlib.contextmanager
def converted(path: Path, name: str, format_: Format, *, limit_s: float = LIMIT_S) -> Iterator[tuple[Path, Format]]:
    """Give the file in the newer format of its kind, and that format; gone afterwards.

    Each conversion has a profile of its own, so that none waits for another, runs no macro and leaves nothing behind.
    UnsupportedMedia: LibreOffice is not installed. Unprocessable: it cannot read the file, or not within `limit_s`.
    """
    newer = NEWER[format_]
    office = program()
    if office is None:
        raise UnsupportedMedia(
            f"{name}: found a {format_.upper()} file and no LibreOffice, which reads it: install LibreOffice, or save "
            f"the file as {newer.upper()}",
            code="reader_missing",
        )
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        source = Path(folder) / f"document.{format_}"
        shutil.copyfile(path, source)
        _run([office, *_options(Path(folder), newer), str(source)], Path(folder), name, limit_s)
        made = Path(folder) / "out" / f"document.{newer}"
        if not made.is_file():
            raise Unprocessable(
                f"{name}: found a {format_.upper()} file that LibreOffice cannot read, expected a complete one without "
                "a password",
                code="corrupt",
            )
        yield made, newer


def _options(folder: Path, newer: Format) -> list[str]:
    return [
        f"-env:UserInstallation={(folder / 'profile').as_uri()}",
        *("--headless", "--invisible", "--norestore", "--nologo", "--nodefault", "--nolockcheck"),
        *("--convert-to", str(newer), "--outdir", str(folder / "out")),
    ]


def _run(command: list[str], folder: Path, name: str, limit_s: float) -> None:
    """Run LibreOffice in a process group of its own, which ends with it."""
    try:
        process = subprocess.Popen(  # noqa: S603 - found by its name, with options of ours and a file of our own
            ["/bin/sh", "-c", _GUARD, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"LibreOffice does not start ({error.strerror or error})", code="engine_failed") from error
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired as error:
        raise Unprocessable(
            f"{name}: found no result of LibreOffice after {limit_s:g} s, the time limit for a conversion",
            code="parse_timeout",
        ) from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
