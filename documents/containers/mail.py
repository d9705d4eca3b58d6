"""Mails (RFC 5322) and mailboxes: who wrote what to whom; each attachment and forwarded mail is a file of its own."""

from __future__ import annotations

import email
import email.policy
import mailbox
import re
import tempfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage, MIMEPart
from pathlib import Path
from typing import Final, cast

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from fastembed.documents.containers.parts import PartFolder
from fastembed.documents.encodings import decode
from fastembed.documents.plain import add_text
from fastembed.pipeline.errors import TooLarge, Unprocessable, UnsupportedMedia

_FIELDS: Final = ("From", "To", "Cc", "Date")
_METADATA: Final = {**{field: field.lower() for field in _FIELDS}, "Subject": "subject", "Message-ID": "message_id"}
ReadPart = Callable[[Path, str], DoclingDocument]
"""Reads a body, by its path and name; an ItemError says why it cannot."""
_FLOWED: Final = re.compile(r"(?<=\S) \n(?!>|-- \n)")
SMALLEST_INLINE: Final = 10_000
"""Bytes; smaller pictures within a mail's text are logos and lines."""
_SEALED: Final = {
    "application/pkcs7-mime": "found an encrypted or signed mail (S/MIME), which only its receiver's program opens",
    "application/x-pkcs7-mime": "found an encrypted or signed mail (S/MIME), which only its receiver's program opens",
    "application/ms-tnef": "found Outlook's own wrapping (winmail.dat), expected plain attachments",
    "application/pgp-encrypted": "found an encrypted mail (PGP)",
}
_SIGNATURES: Final = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")


def parse_mail(content: bytes) -> EmailMessage:
    """Return a mail; what is broken in it is read as far as it goes."""
    return email.message_from_bytes(content, policy=email.policy.default)


def read_mail(
    message: EmailMessage, name: str, read: ReadPart, parts: PartFolder, remarks: list[str]
) -> tuple[DoclingDocument, dict[str, str]]:
    """Return a mail as a document, and what its head says; its attachments go to `parts`."""
    document = DoclingDocument(name=Path(name).stem)
    document.add_title(text=_field(message, "Subject") or Path(name).stem)
    for field in _FIELDS:
        if text := _field(message, field):
            document.add_text(label=DocItemLabel.TEXT, text=f"{field}: {text}")
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None and body.get_content_subtype() == "plain" and not _text(body).strip():
        body = message.get_body(preferencelist=("html",)) or body
    sections = [document]
    if body is not None and body.get_content_subtype() == "html":
        sections += _read_html(_html(body), read, remarks)
    elif body is not None:
        add_text(document, _text(body))
    for attached, content in _attachments(message, body):
        if isinstance(content, str):
            parts.refuse(attached, content, ignored=True)
        else:
            parts.add(attached, content)
    if parts.labels:
        last = DoclingDocument(name="attachments")
        last.add_text(label=DocItemLabel.TEXT, text=f"Attachments: {', '.join(parts.labels)}")
        sections.append(last)
    metadata = {key: text for field, key in _METADATA.items() if (text := _field(message, field))}
    return DoclingDocument.concatenate(sections), metadata


def read_mailbox(path: Path, name: str, parts: PartFolder) -> DoclingDocument:
    """Return the subjects of a mailbox's mails (mbox); each mail goes to `parts`."""
    document = DoclingDocument(name=Path(name).stem)
    found = mailbox.mbox(path, create=False)
    try:
        for place, key in enumerate(found.iterkeys(), 1):
            content = found.get_bytes(key)
            subject = _field(parse_mail(content), "Subject")
            parts.add(f"{place:04} {subject}".strip()[:100].replace("/", "_") + ".eml", content)
    finally:
        found.close()
    group = document.add_list_group()
    for label in parts.labels:
        document.add_list_item(text=label, parent=group)
    return document


def _read_html(content: bytes, read: ReadPart, remarks: list[str]) -> Iterator[DoclingDocument]:
    """Yield the document of a body, nothing but a remark if it cannot be read."""
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        path = Path(folder) / "body.html"
        path.write_bytes(content)
        try:
            yield read(path, "body.html")
        except (Unprocessable, UnsupportedMedia, TooLarge) as error:
            remarks.append(f"the mail's text was not read: {error.message}")


def _attachments(message: EmailMessage, body: MIMEPart | None) -> Iterator[tuple[str, bytes | str]]:
    """Yield the name of each attachment and its bytes, or why there are none. A forwarded mail is one."""
    if reason := _SEALED.get(message.get_content_type()):
        yield message.get_filename() or "sealed mail", reason
        return
    for place, part in enumerate(_leaves(message), 1):
        kind = part.get_content_type()
        if part is body or kind in _SIGNATURES or _is_other_body(part, message):
            continue
        if kind == "message/rfc822":
            inner = cast("EmailMessage", part.get_payload(0))
            yield f"{_field(inner, 'Subject') or f'mail {place}'}.eml".replace("/", "_"), inner.as_bytes()
            continue
        attached = (part.get_filename() or f"part {place}{_suffix(part)}").replace("/", "_").replace("\\", "_")
        content = _bytes(part)
        if part.get_content_maintype() == "image" and "Content-ID" in part and not part.is_attachment():
            if len(content) >= SMALLEST_INLINE:
                yield attached, content
        else:
            yield attached, _SEALED.get(kind) or content


def _leaves(message: MIMEPart) -> Iterator[MIMEPart]:
    """Yield the parts that hold something themselves; forwarded mails whole."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        for part in message.iter_parts():
            yield from _leaves(part)
    else:
        yield message


def _is_other_body(part: MIMEPart, message: EmailMessage) -> bool:
    """Whether a part is the mail's text once more, in another form, or a single mail's own text."""
    if part is message:
        return part.get_content_maintype() == "text" and not part.is_attachment()
    if part.is_attachment() or part.get_filename():
        return False
    others = (message.get_body(preferencelist=(kind,)) for kind in ("plain", "html"))
    return any(part is other for other in others)


def _suffix(part: MIMEPart) -> str:
    import mimetypes

    return mimetypes.guess_extension(part.get_content_type()) or ""


def _bytes(part: MIMEPart) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(part: MIMEPart) -> str:
    content, charset = _bytes(part), part.get_content_charset()
    try:
        text = content.decode(charset) if charset and charset != "us-ascii" else decode(content).text
    except (LookupError, UnicodeDecodeError):
        text = decode(content).text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if str(part.get_param("format", "")).lower() == "flowed":  # RFC 3676: a blank at a line's end joins it to the next
        joint = "" if str(part.get_param("delsp", "")).lower() == "yes" else " "
        text = _FLOWED.sub(joint, text)
    return text


def _html(part: MIMEPart) -> bytes:
    """Return a page in UTF-8 with a mark, so that the mail's charset counts more than what the page says."""
    content, charset = _bytes(part), part.get_content_charset()
    try:
        return b"\xef\xbb\xbf" + content.decode(charset).encode("utf-8", "replace") if charset else content
    except (LookupError, UnicodeDecodeError):
        return content


def _field(message: EmailMessage, name: str) -> str:
    """Return a field of the head as one line; "" where there is none, or one that cannot be read."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    if any("\udc80" <= letter <= "\udcff" for letter in raw):  # bytes that no encoding was named for
        return " ".join(decode(raw.encode("utf-8", "surrogateescape")).text.split())
    try:
        return " ".join(str(message.get(name) or "").split())
    except (ValueError, IndexError, AttributeError, TypeError):  # the parser of Python's email fails on broken ones
        return ""
