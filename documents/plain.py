"""Text that is not marked up: plain text and logs, subtitles, JSON and lines of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from docling_core.types.doc.common.source import TrackSource
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import CodeLanguageLabel, DocItemLabel

from fastembed.documents.delimited import table_data
from fastembed.documents.encodings import decode
from fastembed.documents.formats import Format

_BLANK: Final = re.compile(r"\n[ \t]*\n\s*|\f")
_TIMES: Final = re.compile(
    r"((?:\d+:)?\d{1,2}:\d{2})[.,](\d{1,3})[ \t]*-->[ \t]*((?:\d+:)?\d{1,2}:\d{2})?(?:[.,](\d{1,3}))?[^\n]*"
)
_VOICE: Final = re.compile(r"<v(?:\.[^ >]*)?[ \t]+([^>]+)>")
_TAG: Final = re.compile(r"</?[a-z][^>]*>|<\d[^>]*>|\{\\[^}]*\}", re.IGNORECASE)
_LONGEST_JSON: Final = 1 << 20
"""Characters of JSON that are laid out anew; longer ones stay as they are."""


def read_plain(path: Path, name: str, format_: Format, remarks: list[str]) -> DoclingDocument:
    """Return the document of a text file."""
    found = decode(path.read_bytes())
    remarks += filter(None, [found.remark])
    document = DoclingDocument(name=Path(name).stem)
    _FILLS[format_](document, found.text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    return document


def add_text(document: DoclingDocument, text: str) -> None:
    """Add a plain text: a paragraph from one blank line to the next, its lines as they are."""
    for part in _BLANK.split(text):
        if part.strip():
            document.add_text(label=DocItemLabel.TEXT, text=part.strip("\n").rstrip())


def _add_cues(document: DoclingDocument, text: str) -> None:
    """Add subtitles (WebVTT, SRT): a paragraph a cue, with the time at which it starts and who speaks."""
    matches = list(_TIMES.finditer(text))
    for match, after in zip(matches, [*matches[1:], None], strict=True):
        said = text[match.end() : after.start() if after else len(text)].strip()
        said = re.split(r"\n[ \t]*\n", said)[0]  # the next cue's number or name stands below a blank line
        voice = _VOICE.search(said)
        words = " ".join(_TAG.sub("", _VOICE.sub("", said)).split())
        if words:
            speaker = f"{voice[1].strip()}: " if voice else ""
            start = seconds_of(match[1], match[2])
            end = max(start, seconds_of(match[3], match[4])) if match[3] else start
            source = TrackSource(start_time=start, end_time=end, voice=voice[1].strip() if voice else None)
            document.add_text(label=DocItemLabel.TEXT, text=f"[{match[1]}] {speaker}{words}", source=source)
    if not matches:
        add_text(document, text)


def seconds_of(clock: str, fraction: str | None) -> float:
    """Return the seconds of a time such as 1:02:03 and a fraction's digits."""
    seconds = 0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds + float(f"0.{fraction or 0}")


def _add_json(document: DoclingDocument, text: str) -> None:
    """Add JSON: a list of flat objects as a table, anything else laid out as code; what is no JSON as text."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        add_text(document, text)
        return
    if not _add_records(document, value):
        laid_out = json.dumps(value, ensure_ascii=False, indent=1) if len(text) <= _LONGEST_JSON else text
        document.add_code(text=laid_out, code_language=CodeLanguageLabel.JSON)


def _add_json_lines(document: DoclingDocument, text: str) -> None:
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        values = [json.loads(line) for line in lines]
    except (json.JSONDecodeError, RecursionError):
        add_text(document, "\n\n".join(lines))
        return
    if not _add_records(document, values):
        for value in values:
            document.add_text(label=DocItemLabel.TEXT, text=json.dumps(value, ensure_ascii=False))


def _add_records(document: DoclingDocument, value: Any) -> bool:
    """Add a list of objects without lists or objects in them as a table; False, and nothing is added, if it is none."""
    if not isinstance(value, list) or not value or not all(isinstance(record, dict) for record in value):
        return False
    if any(isinstance(part, (dict, list)) for record in value for part in record.values()):
        return False
    names = list(dict.fromkeys(name for record in value for name in record))
    if not names:
        return False
    rows = [[_shown(record.get(name)) for name in names] for record in value]
    document.add_table(data=table_data([names, *rows]))
    return True


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


_FILLS: Final[dict[Format, Callable[[DoclingDocument, str], None]]] = {
    Format.TXT: add_text,
    Format.VTT: _add_cues,
    Format.SRT: _add_cues,
    Format.JSON: _add_json,
    Format.JSONL: _add_json_lines,
}
