"""Writes compound files (OLE2, MS-CFB), as Outlook saves messages in; small streams only."""

import struct
from datetime import UTC, datetime
from pathlib import Path

FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
SECTOR, MINI, ENTRY = 512, 64, 128


class Storage:
    """A folder within a compound file: streams (bytes) and storages by name."""

    def __init__(self, **children):
        self.children = dict(children)

    def __setitem__(self, name, child):
        self.children[name] = child


def save(root: Storage, path: Path) -> Path:
    """Write a compound file. Every stream is in the mini stream, so none may have 4096 bytes or more."""
    entries = []  # name, kind, size, first mini sector, child, right sibling
    mini = bytearray()
    mini_fat = []

    def add(name, node):
        index = len(entries)
        entries.append([name, 1 if isinstance(node, Storage) else 2, 0, END, FREE, FREE])
        if isinstance(node, Storage):
            before = None
            for key in sorted(node.children, key=lambda text: (len(text), text.upper())):
                child = add(key, node.children[key])
                if before is None:
                    entries[index][4] = child
                else:
                    entries[before][5] = child
                before = child
        elif node:
            assert len(node) < 4096
            first, count = len(mini) // MINI, -(-len(node) // MINI)
            entries[index][2:4] = [len(node), first]
            mini_fat.extend([*range(first + 1, first + count), END])
            mini.extend(node.ljust(count * MINI, b"\0"))
        return index

    add("Root Entry", root)
    mini_sectors = -(-len(mini) // SECTOR)
    fat_table = b"".join(struct.pack("<I", value) for value in mini_fat)
    fat_sectors = -(-len(fat_table) // SECTOR)
    directory_sectors = -(-len(entries) * ENTRY // SECTOR)
    chains = (directory_sectors, fat_sectors, mini_sectors)
    fat, starts = [FAT], []
    for count in chains:
        starts.append(len(fat) if count else END)
        fat += [*range(len(fat) + 1, len(fat) + count), END] if count else []
    assert len(fat) <= SECTOR // 4
    entries[0][1:4] = [5, len(mini), starts[2]]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack(
        "<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, starts[0], 0, 4096, starts[1], fat_sectors, END, 0, 0
    )
    header += struct.pack("<I", FREE) * 108
    sectors = [b"".join(struct.pack("<I", value) for value in fat).ljust(SECTOR, b"\xff")]
    directory = b"".join(_entry(*entry) for entry in entries)
    for block, count in zip((directory, fat_table, bytes(mini)), chains, strict=True):
        filler = b"\xff" if block is fat_table else b"\0"
        sectors.append(block.ljust(count * SECTOR, filler))
    path.write_bytes(header + b"".join(sectors))
    return path


def _entry(name, *numbers):
    kind, size, first, child, right = numbers
    text = name.encode("utf-16-le") + b"\0\0"
    return text.ljust(64, b"\0") + struct.pack(
        "<HBBIII16xIQQIII", len(text), kind, 1, FREE, right, child, 0, 0, 0, first, size, 0
    )


def message(properties, *attachments, sent=None, inner=False, codepage=1252):
    """Return an Outlook message: texts by their tags (str: Unicode, bytes: as they are, with the type in the tag)."""
    made = Storage()
    for tag, value in properties.items():
        made[f"__substg1.0_{tag}" + ("001F" if isinstance(value, str) else "")] = (
            value.encode("utf-16-le") if isinstance(value, str) else value
        )
    fixed = [(0x3FFD0003, codepage)]
    if sent is not None:
        fixed.append((0x00390040, int((sent - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000))
    made["__properties_version1.0"] = bytes(24 if inner else 32) + b"".join(
        struct.pack("<IIQ", tag, 6, value) for tag, value in fixed
    )
    for place, attachment in enumerate(attachments):
        made[f"__attach_version1.0_#{place:08X}"] = attachment
    return made


def attachment(name, content, **more):
    """Return an attachment: a file's bytes, or a message within the message."""
    made = Storage()
    made["__properties_version1.0"] = bytes(8)
    made["__substg1.0_3707001F"] = name.encode("utf-16-le")
    made["__substg1.0_3701000D" if isinstance(content, Storage) else "__substg1.0_37010102"] = content
    for tag, value in more.items():
        made[f"__substg1.0_{tag.removeprefix('t')}001F"] = value.encode("utf-16-le")
    return made
