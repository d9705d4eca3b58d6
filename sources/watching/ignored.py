"""The files of a folder that its pipeline does not take: listed with a reason, and logged once."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from typing import Final

_log: Final = logging.getLogger(__name__)

MOST: Final = 10_000
"""Names that are remembered; of more, their number is."""
_MOST_LOGGED: Final = 20
_ADVICE: Final = {
    **dict.fromkeys((".pages", ".wpd", ".wps", ".abw"), "save it as DOCX, ODT or PDF"),
    **dict.fromkeys((".numbers", ".123", ".wks"), "save it as XLSX, ODS or CSV"),
    **dict.fromkeys((".key",), "save it as PPTX, ODP or PDF"),
    **dict.fromkeys((".pst", ".ost", ".nsf"), "export its mails as EML, MSG or MBOX"),
    **dict.fromkeys((".7z", ".rar", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst"), "unpack it, or pack it as ZIP"),
    **dict.fromkeys(
        (".djvu", ".ps", ".eps", ".xps", ".oxps", ".pub", ".vsd", ".vsdx", ".dwg", ".dxf"), "save it as PDF"
    ),
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".fb2"), "save it as EPUB"),
    **dict.fromkeys((".avi", ".wmv", ".mpg", ".mpeg", ".flv", ".ts"), "save it as MP4 or MKV"),
    **dict.fromkeys((".wma", ".amr", ".ra", ".mid", ".midi", ".caf"), "save it as MP3, WAV or FLAC"),
    **dict.fromkeys((".one", ".onepkg"), "export it as PDF or DOCX"),
    **dict.fromkeys((".mdb", ".accdb", ".sqlite", ".db", ".parquet"), "export its tables as CSV or XLSX"),
    **dict.fromkeys((".svg", ".psd", ".ai", ".cr2", ".nef", ".arw", ".dng", ".raw"), "save it as PNG or JPG"),
}


def reason_of(name: str) -> str:
    """Return why a name that `match` does not take is ignored, and what its user may do."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _ADVICE:
        return f"{suffix} files are not read: {_ADVICE[suffix]}"
    kind = f"{suffix} files are" if suffix else "a name without a suffix is"
    return f"{kind} not taken by the pipeline's `match`"


class IgnoredFiles:
    """What the last look found that is not taken. count: of all. reasons: by name, of the first `MOST`."""

    def __init__(self, root: Path) -> None:
        """Start with none of `root`."""
        self.count = 0
        self.reasons: dict[str, str] = {}
        self._root = root
        self._seen: dict[str, str] = {}
        self._seen_count = 0
        self._logged: set[str] = set()
        self._looking = False

    def begin(self) -> None:
        """Begin a look at the whole folder."""
        self._seen, self._seen_count, self._looking = {}, 0, True

    def saw(self, name: str) -> bool:
        """Note a file that is not taken; False if only a look at the whole folder can list it."""
        if not self._looking:
            return name in self.reasons
        self._seen_count += 1
        if len(self._seen) < MOST:
            self._seen[name] = reason_of(name)
        return True

    def end(self) -> bool:
        """End the look; whether it found others than the one before."""
        self._looking = False
        changed = self._seen != self.reasons
        self.reasons, self.count = self._seen, self._seen_count
        new = [name for name in self.reasons if name not in self._logged]
        for name in new[:_MOST_LOGGED]:
            _log.warning("%s is ignored: %s", self._root / name, self.reasons[name])
        if len(new) > _MOST_LOGGED:
            _log.warning("%s: %d more files are ignored; see `fastembed ls`", self._root, len(new) - _MOST_LOGGED)
        self._logged.update(new)
        return changed
