"""The key file: the issued keys as JSON, hashed, for its owner's eyes only; `fastembed keys` changes it.

    {"version": 1, "keys": [{"id": "key_0123...", "name": "alice", "digest": "...", "scopes": ["chat"], ...}]}

A running server reads it again when it has changed. Once it has been there, a key is asked for: a file that is emptied,
deleted or damaged while the server runs never opens the server to everybody.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from stat import S_IMODE
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import ConfigError, FastEmbedError
from fastembed.pipeline.filing import private_folder, write
from fastembed.server.keys.record import SCOPES, IssuedKey, digest_of, new_key_id, new_secret

try:
    import fcntl
except ImportError:  # Windows: two commands at once may lose one's change there
    fcntl = None  # type: ignore[assignment] # the module, or None where there is none

LOOK_S: Final = 1.0
"""How soon a changed file counts."""
_log: Final = logging.getLogger("fastembed.keys")
_VERSION: Final = 1
_MAX_NAME_CHARS: Final = 80
_MAX_BYTES: Final = 8 * 2**20
_OTHERS_WRITE: Final = 0o022


def read_keys(path: Path) -> tuple[IssuedKey, ...] | None:
    """Return the keys of a file, None: there is no file. ConfigError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            mode, text = S_IMODE(os.fstat(file.fileno()).st_mode), file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if mode & _OTHERS_WRITE:
        raise ConfigError([f"{path}: found mode {mode:o}, so others may write themselves keys; run chmod 600 {path}"])
    try:
        return tuple(_key(row) for row in orjson.loads(text)["keys"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError([f"{path}: not a key file ({error}); `fastembed keys` writes it"]) from error


def _key(row: dict[str, Any]) -> IssuedKey:
    known = {name: row.get(name) for name in IssuedKey.__slots__}
    return IssuedKey(**{**known, "digest": row["digest"], "scopes": tuple(row["scopes"])})


class KeyFile:
    """The keys of a file, as they are now. clock: seconds that only go forward."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read it. ConfigError: it is there and cannot be used."""
        self.path = path
        self._clock = clock
        self._state = _state(path)
        self._looked_s = clock()
        found = read_keys(path)
        self.exists = found is not None
        """Whether there is, or was, a file: then a key is asked for."""
        self._by_digest = _by_digest(found or ())

    def find(self, digest: str) -> IssuedKey | None:
        """Return the key of a secret's digest, None: there is none.

        The lookup's time may tell how much of a digest is right; no secret can be made to fit a digest.
        """
        self.look()
        return self._by_digest.get(digest)

    def by_id(self, id_: str) -> IssuedKey | None:
        """Return a key by its id, None: it is not there any more."""
        self.look()
        return next((key for key in self._by_digest.values() if key.id == id_), None)

    def look(self) -> None:
        """Read the file again if it has changed, at most once a second; a stat takes microseconds."""
        now_s = self._clock()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        state = _state(self.path)
        if state == self._state:
            return
        self._state = state
        try:
            found = read_keys(self.path)
        except ConfigError as error:
            _log.error("%s; the keys that were read before hold on", error)
            return
        if found is None:
            _log.warning("%s is gone: no key of it is accepted any more", self.path)
        self.exists = self.exists or found is not None
        self._by_digest = _by_digest(found or ())
        _log.info("read %d keys from %s", len(self._by_digest), self.path)


def _by_digest(keys: Sequence[IssuedKey]) -> dict[str, IssuedKey]:
    return {key.digest: key for key in keys}


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def add_key(
    path: Path,
    name: str,
    *,
    scopes: Sequence[str],
    expires_in_s: float | None = None,
    requests_per_minute: int | None = None,
    tokens_per_day: int | None = None,
) -> tuple[IssuedKey, str]:
    """Issue a key. Return it and its secret, which is kept nowhere. FastEmbedError: name or scopes will not do."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise FastEmbedError(f"found the scope {unknown[0] if unknown else ''!r}, expected some of {', '.join(SCOPES)}")
    if not name.isprintable() or not name.strip() or len(name) > _MAX_NAME_CHARS:
        raise FastEmbedError(f"found the name {name!r:.90}, expected 1 to {_MAX_NAME_CHARS} printable characters")
    secret, now = new_secret(), int(time.time())
    key = IssuedKey(
        new_key_id(),
        name,
        digest_of(secret),
        secret[-4:],
        tuple(scope for scope in SCOPES if scope in scopes),
        now,
        None if expires_in_s is None else now + int(expires_in_s),
        requests_per_minute,
        tokens_per_day,
    )
    with _changed(path) as keys:
        if any(name in (other.name, other.id) for other in keys):
            raise FastEmbedError(f"found a key named {name!r} already; rotate it or remove it, or choose another name")
        keys.append(key)
    return key, secret


def remove_key(path: Path, name: str) -> IssuedKey:
    """Take a key out of the file, by its name or id. FastEmbedError: there is none."""
    with _changed(path) as keys:
        key = _named(keys, name, path)
        keys.remove(key)
    return key


def rotate_key(path: Path, name: str) -> tuple[IssuedKey, str]:
    """Give a key a new secret, and return both; the old one is refused from then on. Files, limits and usage stay."""
    secret = new_secret()
    with _changed(path) as keys:
        key = _named(keys, name, path)
        fresh = replace(key, digest=digest_of(secret), hint=secret[-4:])
        keys[keys.index(key)] = fresh
    return fresh, secret


def _named(keys: Sequence[IssuedKey], name: str, path: Path) -> IssuedKey:
    for key in keys:
        if name in (key.name, key.id):
            return key
    known = ", ".join(key.name for key in keys) or "none"
    raise FastEmbedError(f"found no key {name!r} in {path}, expected one of {known}")


@contextmanager
def _changed(path: Path) -> Iterator[list[IssuedKey]]:
    """Lend the keys for a change, which is written at the end; other commands wait."""
    private_folder(path.parent)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        keys = list(read_keys(path) or ())
        yield keys
        body = {"version": _VERSION, "keys": keys}
        write(path, orjson.dumps(body, option=orjson.OPT_INDENT_2), private=True)
    finally:
        os.close(lock)
