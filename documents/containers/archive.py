"""ZIP archives: their files, each a document of its own."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path
from typing import Final

from docling_core.types.doc.document import DoclingDocument

from fastembed.documents.containers.parts import PartFolder, is_junk
from fastembed.documents.encodings import decode
from fastembed.documents.outline import Outline
from fastembed.pipeline.errors import Unprocessable

_UTF_8: Final = 0x800
_ENCRYPTED: Final = 0x1


def read_archive(path: Path, name: str, parts: PartFolder) -> DoclingDocument:
    """Return what an archive holds as a list, and its files in `parts`. Unprocessable: all of them are encrypted."""
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if members and all(member.flag_bits & _ENCRYPTED for member in members):
            raise Unprocessable(
                f"{name}: found a ZIP archive with encrypted members, expected one without a password", code="encrypted"
            )
        for member in members:
            _take(archive, member, parts)
    outline = Outline(Path(name).stem)
    for label in parts.labels:
        outline.item(label)
    return outline.document


def _take(archive: zipfile.ZipFile, member: zipfile.ZipInfo, parts: PartFolder) -> None:
    label = _name(member)
    if is_junk(label):
        return
    if member.flag_bits & _ENCRYPTED:
        parts.refuse(label, "found an encrypted file, expected one without a password")
    elif stat.S_ISLNK(member.external_attr >> 16):
        parts.refuse(label, "found a link, which is not followed", ignored=True)
    else:
        try:
            with archive.open(member) as content:
                parts.add(label, content)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, ValueError, RuntimeError) as error:
            parts.refuse(label, f"found a file that cannot be unpacked ({error}), expected a complete one")


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name; where nothing says that it is UTF-8, it is in what the archive's maker used."""
    if member.flag_bits & _UTF_8:
        return member.filename
    try:
        return decode(member.filename.encode("cp437")).text  # as Python has decoded it
    except UnicodeEncodeError:
        return member.filename
