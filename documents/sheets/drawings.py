"""XLSX files that refer to drawings which they do not hold: some writers leave the reference behind."""

import posixpath
import re
import zipfile
from pathlib import Path

_SHEET_RELATIONS = re.compile(r"xl/worksheets/_rels/[^/]+\.rels")
_RELATION = re.compile(rb"<Relationship\b[^>]*?/>")
_DRAWING = re.compile(rb"""Type\s*=\s*["'][^"']*/drawing["']""")
_TARGET = re.compile(rb"""Target\s*=\s*["']([^"']+)["']""")


def without_lost_drawings(path: Path, folder: Path) -> Path:
    """Return the workbook, or a copy in `folder` without the references to drawings that it lacks.

    openpyxl gives up a whole workbook for one such reference (KeyError); spreadsheet programs ignore it.
    """
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        changed = {}
        for name in filter(_SHEET_RELATIONS.fullmatch, names):
            before = archive.read(name)
            after = _RELATION.sub(lambda match: b"" if _is_lost(match[0], names) else match[0], before)
            if after != before:
                changed[name] = after
        if not changed:
            return path
        copy = folder / "workbook.xlsx"
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as out:
            for name in archive.namelist():
                out.writestr(name, changed.get(name) or archive.read(name))
    return copy


def _is_lost(relation: bytes, names: set[str]) -> bool:
    target = _TARGET.search(relation)
    if target is None or not _DRAWING.search(relation):
        return False
    part = posixpath.normpath(posixpath.join("/xl/worksheets", target[1].decode("utf-8", "replace"))).lstrip("/")
    return part not in names
