"""The address file: how commands find the server of a folder, on whatever port it listens.

`.pipelines.server.json` (named after the configuration) lies in the folder of the configuration, beside its data, and
holds `{"pid", "url"}`. The server keeps it locked (flock) for as long as it runs; the kernel drops the lock with the
process, however that ends. So a file that nobody locks is stale, also when another process has its pid by now.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows: there the address is always given
    fcntl = None  # type: ignore[assignment] # the module, or None where there is none

_log: Final = logging.getLogger("fastembed.server")
_DEFAULT: Final = Path("pipelines.yaml")


def address_file(config: Path | None = None) -> Path:
    """Return where the server of a configuration writes its address. config: None means the one of this folder."""
    file = (config or _DEFAULT).absolute()
    return file.with_name(f".{file.stem}.server.json")


@contextmanager
def published(url: str, config: Path | None = None) -> Iterator[None]:
    """Let commands find the server at `url` for the time of a `with`; where the folder is read-only, they do not."""
    file = address_file(config)
    held = None if fcntl is None else _write(file, url)
    try:
        yield
    finally:
        if held is not None:
            _remove(file, held)
            os.close(held)


def find_server(config: Path | None = None) -> str | None:
    """Return the URL of the running server of a configuration; None: none runs, or nothing says where."""
    if fcntl is None:
        return None
    try:
        held = os.open(address_file(config), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(held).st_uid != os.geteuid():  # whoever may write here could point commands, and keys, elsewhere
            return None
        return None if _is_stale(held) else _url_in(held)
    finally:
        os.close(held)


def _write(file: Path, url: str) -> int | None:
    """Write and lock the file under another name, then give it its own; return its descriptor, which holds the lock."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with suppress(FileNotFoundError):
            draft.unlink()
        held = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _log.info("commands need --url: %s cannot be written (%s)", file, error.strerror)
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(held, json.dumps({"pid": os.getpid(), "url": url}).encode())
        draft.replace(file)
    except OSError as error:
        _log.info("commands need --url: %s cannot be written (%s)", file, error.strerror)
        os.close(held)
        with suppress(OSError):
            draft.unlink()
        return None
    return held


def _remove(file: Path, held: int) -> None:
    """Remove the file, unless it is another server's by now."""
    with suppress(OSError):
        if os.path.samestat(file.lstat(), os.fstat(held)):
            file.unlink()


def _is_stale(held: int) -> bool:
    """Whether no process holds the lock: the server has ended."""
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _url_in(held: int) -> str | None:
    try:
        found = json.loads(os.read(held, 4096))
        url = found["url"]
    except (ValueError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) and url.startswith(("http://", "https://")) else None
