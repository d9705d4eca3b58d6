"""Outlook's messages (MSG, MS-OXMSG): turned into mails (RFC 5322), which are read as such."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import olefile

from fastembed.documents.containers.mail import SMALLEST_INLINE
from fastembed.documents.containers.unwrapping import decompressed, html_of_rtf
from fastembed.documents.rtf.reader import RtfReader
from fastembed.documents.rtf.tokens import codec_of_page
from fastembed.pipeline.errors import Unprocessable

_SUBJECT: Final = "0037"
_SENDER: Final = ("0C1A", "0042")
_ADDRESSES: Final = ("5D01", "0C1F", "5D02", "0065")
_TO: Final = "0E04"
_CC: Final = "0E03"
_TIMES: Final = (0x00390040, 0x0E060040, 0x30070040)
_BODY: Final = "1000"
_HTML: Final = "1013"
_RTF: Final = "1009"
_DATA: Final = "3701"
_FILE_NAMES: Final = ("3707", "3704", "3001")
_MIME: Final = "370E"
_CONTENT_ID: Final = "3712"
_MESSAGE_ID: Final = "1035"
_CODE_PAGES: Final = (0x3FFD0003, 0x3FDE0003)
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_DEEPEST: Final = 20


def mail_of(path: Path, name: str) -> EmailMessage:
    """Return a message with its attachments, messages within it too. Unprocessable: it is damaged."""
    try:
        with olefile.OleFileIO(path) as file:
            return _Storage(file, [], {}).mail()
    except (OSError, struct.error, IndexError, ValueError, KeyError) as error:  # olefile raises each for damage
        raise Unprocessable(
            f"{name}: found a damaged Outlook message ({error}), expected a complete one", code="corrupt"
        ) from error


class _Storage:
    """A message or an attachment within a compound file: its properties."""

    def __init__(self, file: Any, path: list[str], inherited: dict[int, int]) -> None:
        self._file = file
        self._path = path
        self._fixed = {**inherited, **self._numbers()}
        page = next((self._fixed[tag] for tag in _CODE_PAGES if tag in self._fixed), 1252)
        self._codec = codec_of_page(page & 0xFFFFFFFF)

    def mail(self) -> EmailMessage:
        """Return the message as a mail."""
        mail = EmailMessage()
        fields = {"Subject": self._text(_SUBJECT), "From": self._sender(), "To": self._text(_TO), "Cc": self._text(_CC)}
        fields["Message-ID"] = self._text(_MESSAGE_ID)
        for field, text in fields.items():
            if text.strip():
                _set(mail, field, text)
        if (sent := self._time()) is not None:
            mail["Date"] = format_datetime(sent)
        plain, html = self._bodies()
        if plain.strip() or not html:
            mail.set_content(plain)
        else:
            page = html.encode("utf-8", "replace") if isinstance(html, str) else html
            mail.set_content(page, maintype="text", subtype="html")
            if isinstance(html, str):
                mail.set_param("charset", "utf-8")
        for part in self._attachments():
            if not part.is_logo(html):
                part.attach_to(mail)
        return mail

    def attach_to(self, mail: EmailMessage) -> None:
        """Add what this attachment holds to a mail."""
        inner = [*self._path, f"__substg1.0_{_DATA}000D"]
        if self._file.exists([*inner, "__properties_version1.0"]) and len(self._path) < _DEEPEST:
            mail.add_attachment(_Storage(self._file, inner, {}).mail())
            return
        data = self._bytes(_DATA)
        if data is None:
            return
        name = next((text for tag in _FILE_NAMES if (text := self._text(tag).strip())), "attachment")
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=" ".join(name.split()))

    def is_logo(self, html: str | bytes) -> bool:
        """Whether an attachment is a small picture within the mail's text."""
        cid = self._text(_CONTENT_ID).strip()
        page = html.decode("latin-1") if isinstance(html, bytes) else html
        if not cid or f"cid:{cid}" not in page:
            return False
        return self._text(_MIME).lower().startswith("image/") and len(self._bytes(_DATA) or b"") < SMALLEST_INLINE

    def _attachments(self) -> list[_Storage]:
        depth = len(self._path)
        folders = {
            entry[depth]
            for entry in self._file.listdir(streams=True, storages=True)
            if len(entry) > depth
            and entry[:depth] == self._path
            and entry[depth].lower().startswith("__attach_version1.0_")
        }
        return [_Storage(self._file, [*self._path, folder], self._fixed) for folder in sorted(folders)]

    def _bodies(self) -> tuple[str, str | bytes]:
        """Return the text and the page; where both are only within RTF, unwrapped from that."""
        plain = self._text(_BODY)
        html: str | bytes = self._bytes(_HTML) or self._text(_HTML)
        packed = self._bytes(_RTF)
        if html or packed is None:
            return plain, html
        rtf = decompressed(packed)
        unwrapped = html_of_rtf(rtf)
        if unwrapped:
            return plain, unwrapped
        if not plain.strip():
            reader = RtfReader("body.rtf")
            reader.read(rtf)
            plain = reader.body.text.replace("\n", "\n\n")
        return plain, ""

    def _sender(self) -> str:
        name = next((text for tag in _SENDER if (text := self._text(tag).strip())), "")
        address = next((text for tag in _ADDRESSES if "@" in (text := self._text(tag).strip())), "")
        if not address or address == name:
            return name or address
        return f"{name} <{address}>" if name else address

    def _time(self) -> datetime | None:
        ticks = next((self._fixed[tag] for tag in _TIMES if self._fixed.get(tag)), None)
        try:
            return None if ticks is None else _EPOCH + timedelta(microseconds=ticks // 10)
        except OverflowError:
            return None

    def _text(self, tag: str) -> str:
        wide, narrow = self._stream(f"{tag}001F"), self._stream(f"{tag}001E")
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        return "" if narrow is None else narrow.decode(self._codec, "replace").rstrip("\0")

    def _bytes(self, tag: str) -> bytes | None:
        return self._stream(f"{tag}0102")

    def _stream(self, tag: str) -> bytes | None:
        path = [*self._path, f"__substg1.0_{tag}"]
        if not self._file.exists(path) or self._file.get_type(path) != olefile.STGTY_STREAM:
            return None
        content: bytes = self._file.openstream(path).read()
        return content

    def _numbers(self) -> dict[int, int]:
        """Return the properties of fixed length by their tags, behind a head of 32, 24 or 8 bytes (MS-OXMSG, 2.4)."""
        path = [*self._path, "__properties_version1.0"]
        if not self._file.exists(path):
            return {}
        content: bytes = self._file.openstream(path).read()
        last = self._path[-1].lower() if self._path else ""
        head = 32 if not self._path else 24 if last.endswith("000d") else 8
        return {
            struct.unpack_from("<I", content, at)[0]: struct.unpack_from("<Q", content, at + 8)[0]
            for at in range(head, len(content) - 15, 16)
        }


def _set(mail: EmailMessage, field: str, text: str) -> None:
    """Set a field to a text that need not be what the field's syntax wants."""
    line = " ".join(text.replace(";", ",").split()) if field in ("To", "Cc") else " ".join(text.split())
    try:
        mail[field] = line
        str(mail[field])
    except (ValueError, IndexError, AttributeError, TypeError):  # the library refuses it: it is left out
        del mail[field]
