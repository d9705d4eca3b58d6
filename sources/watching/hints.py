"""File system notifications of a folder: hints where to look, never trusted as the state of the folder.

Watches miss things silently: a full queue, a folder that was moved in, a root that was removed and made again. So what
comes from here only makes looking sooner; scans find the rest. One thing only the watch knows: whether a file that is
gone was deleted. An unmounted file system takes its files away without a word.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import watchfiles
from watchfiles import Change

MAX_PENDING: Final = 10_000
"""More names than this are not kept: a scan is cheaper than looking at each."""
MAX_DELETED: Final = 200_000
"""More names of deleted files than this are not kept."""

STEP_MS: Final = 50
DELAY_S: Final = 12 * STEP_MS / 1000
"""How long after a change its hint may come."""
STOP_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0
"""How soon a watch that broke is made again."""

_log = logging.getLogger(__name__)
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells every change, ours are told by their outcome


class Hints:
    """Watches one folder in a thread of its own and collects the names that changed, until `close`.

    wake: called in the event loop when there is something to `take`. broken: the folder itself was moved or removed, so
    nothing more comes from this watch; make another (one that breaks otherwise is made again here). After `started` the
    watch is in place (or could not be: then only scans find changes, and the log says why).
    """

    def __init__(self, root: Path, wake: Callable[[], None]) -> None:
        """Start watching `root`, which must be there. Call it in the event loop."""
        self.started = asyncio.Event()
        self.broken = False
        self._root = root
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._begun = False
        self._lost = False
        self._names: set[str] = set()
        self._deleted: set[str] = set()
        self._everything = False
        self._thread = threading.Thread(target=self._watch, name=f"watch {root.name}", daemon=True)
        self._thread.start()

    def take(self) -> tuple[set[str], set[str], bool]:
        """Return the names that changed, those (folders too) that were deleted, and whether to look at everything."""
        names, self._names = self._names, set()
        deleted, self._deleted = self._deleted, set()
        everything, self._everything = self._everything, False
        return names, deleted, everything

    async def close(self) -> None:
        """End the watch and its thread."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    def is_set(self) -> bool:
        """Whether to stop; watchfiles asks this once the watch is in place and then every step."""
        if not self._begun:
            self._begun = True
            self._post(self.started.set)
        if self._lost:
            self._lost = False
            self._post(self._look_everywhere)
        return self._stop.is_set()

    def _watch(self) -> None:
        warned = False
        try:
            while not self._stop.is_set():
                try:
                    self._watch_once()
                except (OSError, RuntimeError) as error:  # RuntimeError: what watchfiles makes of other refusals
                    if not self._begun:
                        _log.warning("%s cannot be watched, changes are found by scans only: %s", self._root, error)
                        return
                    if not warned:  # a name that is no UTF-8 is enough, and more of them may come
                        _log.warning("the watch of %s broke and is set up again: %s", self._root, error)
                    warned = self._lost = True
                    self._stop.wait(AGAIN_SECONDS)
                else:
                    return
        finally:
            self._post(self.started.set)

    def _watch_once(self) -> None:
        try:
            self._follow(ignore_permission_denied=False)
        except PermissionError as error:  # of one folder below; this way those beside it may be left out as well
            _log.warning("%s is watched in part, other changes are found by scans: %s", self._root, error)
            self._follow(ignore_permission_denied=True)

    def _follow(self, *, ignore_permission_denied: bool) -> None:
        for changes in watchfiles.watch(
            self._root,
            watch_filter=None,
            step=STEP_MS,
            debounce=8 * STEP_MS,
            stop_event=self,
            raise_interrupt=False,
            ignore_permission_denied=ignore_permission_denied,
        ):
            self._post(partial(self._collect, changes))

    def _collect(self, changes: set[tuple[Change, str]]) -> None:
        """Keep the names, in the event loop."""
        names = {self._name(path) for _, path in changes}
        self._deleted |= {self._name(path) for change, path in changes if change is Change.deleted}
        if len(self._deleted) > MAX_DELETED:
            self._deleted.clear()
        self.broken = self.broken or "." in names
        if self.broken or len(self._names) + len(names) > MAX_PENDING:
            self._look_everywhere()
        else:
            self._names |= names
            self._wake()

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self._root).replace(os.sep, "/")

    def _look_everywhere(self) -> None:
        """Ask for a scan: it is unknown what changed."""
        self._names.clear()
        self._everything = True
        self._wake()

    def _post(self, call: Callable[[], None]) -> None:
        """Run `call` in the event loop; a loop that has ended wants no more hints."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            self._stop.set()
