"""Mails (RFC 5322): who wrote what to whom, and each attachment as a document of its own below it."""

from __future__ import annotations

import email
import email.policy
import tempfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage, MIMEPart
from pathlib import Path
from typing import Final, cast

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from fastembed.documents.encodings import decode
from fastembed.documents.plain import add_text
from fastembed.pipeline.errors import TooLarge, Unprocessable, UnsupportedMedia

_FIELDS: Final = ("From", "To", "Cc", "Date")
ReadPart = Callable[[Path, str], DoclingDocument]
"""Reads an attachment, by its path and name; an ItemError says why it cannot."""
MOST_ATTACHMENTS: Final = 50
DEEPEST: Final = 5
"""Mails within mails."""


def read_mail(path: Path, name: str, read: ReadPart, remarks: list[str]) -> DoclingDocument:
    """Return a mail as a document; attachments that `read` refuses are told in `remarks`."""
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    document = DoclingDocument(name=Path(name).stem)
    document.add_title(text=_field(message, "Subject") or Path(name).stem)
    for field in _FIELDS:
        if text := _field(message, field):
            document.add_text(label=DocItemLabel.TEXT, text=f"{field}: {text}")
    parts = [document]
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        body = message.get_body(preferencelist=("plain", "html"))
        if body is not None and body.get_content_subtype() == "html":
            parts += _read(Path(folder) / "body.html", "body.html", _bytes(body), read, remarks)
        elif body is not None:
            add_text(document, _text(body))
        attachments = list(_attachments(message))
        for place, (attached, content) in enumerate(attachments[:MOST_ATTACHMENTS]):
            title = DoclingDocument(name=attached)
            title.add_heading(text=f"Attachment: {attached}", level=1)
            suffix = Path(attached).suffix
            parts += [title, *_read(Path(folder) / f"{place}{suffix}", attached, content, read, remarks)]
    if len(attachments) > MOST_ATTACHMENTS:
        remarks.append(f"found {len(attachments)} attachments, and read the first {MOST_ATTACHMENTS}")
    return DoclingDocument.concatenate(parts)


def _read(path: Path, name: str, content: bytes, read: ReadPart, remarks: list[str]) -> Iterator[DoclingDocument]:
    """Yield the document of a part, nothing but a remark if it cannot be read."""
    path.write_bytes(content)
    try:
        yield read(path, name)
    except (Unprocessable, UnsupportedMedia, TooLarge) as error:
        remarks.append(f"an attachment was not read: {error.message}")


def _attachments(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each attachment; a forwarded mail is one."""
    for place, part in enumerate(message.iter_attachments(), 1):
        if part.get_content_type() == "message/rfc822":
            inner = cast("EmailMessage", part.get_payload(0))
            yield f"{_field(inner, 'Subject') or f'mail {place}'}.eml", inner.as_bytes()
        else:
            yield (part.get_filename() or f"part {place}").replace("/", "_"), _bytes(part)


def _bytes(part: MIMEPart) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(part: MIMEPart) -> str:
    content, charset = _bytes(part), part.get_content_charset()
    try:
        return content.decode(charset) if charset and charset != "us-ascii" else decode(content).text
    except (LookupError, UnicodeDecodeError):
        return decode(content).text


def _field(message: EmailMessage, name: str) -> str:
    """Return a field of the head as one line; "" where there is none, or one that cannot be read."""
    try:
        return " ".join(str(message.get(name) or "").split())
    except (ValueError, IndexError, AttributeError, TypeError):  # the parser of Python's email fails on broken ones
        return ""
