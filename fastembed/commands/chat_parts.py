"""Files as parts of a chat message: pictures, sound and video as what they are, everything else as a document."""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from pathlib import Path
from typing import Any

from fastembed.pipeline.errors import FastEmbedError


def part_of(name: str) -> dict[str, Any]:
    """Return the content part of a file or a URL. FastEmbedError: there is no such file."""
    kind = (mimetypes.guess_type(name)[0] or "application/octet-stream").lower()
    if name.startswith(("http://", "https://")):
        return _media(kind, name) or {"type": "image_url", "image_url": {"url": name}}
    path = Path(name).expanduser()
    if not path.is_file():
        raise FastEmbedError(f"found no file {name}, expected a picture, document, sound or video")
    url = f"data:{kind};base64,{b64encode(path.read_bytes()).decode('ascii')}"
    return _media(kind, url) or {"type": "file", "file": {"filename": path.name, "file_data": url}}


def _media(kind: str, url: str) -> dict[str, Any] | None:
    """Return the part of a picture, a sound or a video; None: it is none of them."""
    match kind.partition("/")[0]:
        case "image":
            return {"type": "image_url", "image_url": {"url": url}}
        case "audio":
            return {"type": "audio", "audio": {"url": url}}
        case "video":
            return {"type": "video_url", "video_url": {"url": url}}
    return None
