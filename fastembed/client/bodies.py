"""The JSON bodies of this server's own endpoints. Files are read and sent; URLs and data URLs go as they are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_IMAGES: Final = ("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff")

FileName = str | Path
"""A path of a file, a URL, or a data URL."""


def analysis_inputs(
    text: str | None,
    images: Sequence[FileName] | None,
    audio: FileName | None,
    video: FileName | None,
    documents: Sequence[FileName] | None,
) -> list[dict[str, Any]]:
    """Return `inputs` of POST /v1/multimodal/analyze; blocks while files are read."""
    inputs: list[dict[str, Any]] = [] if text is None else [{"type": "text", "text": text}]
    files = {"document": documents, "image": images, "audio": audio and [audio], "video": video and [video]}
    for kind, entries in files.items():
        inputs += [{"type": kind, **_name_of(kind, str(entry)), **content_of(entry)} for entry in entries or ()]
    return inputs


def document_body(
    document: Mapping[str, Any] | FileName, model: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of POST /v1/documents/process; blocks while a file is read."""
    sent = {"path": document} if isinstance(document, str | Path) else dict(document)
    if "path" in sent:
        path = sent.pop("path")
        sent = {"type": document_type(str(path)), **sent, **content_of(path)}
    return {"document": sent, "processing_options": dict(options), **given(model=model)}


def content_of(entry: FileName) -> dict[str, str]:
    """Return how a file, a URL or a data URL travels in JSON."""
    text = str(entry)
    if text.startswith(("http://", "https://")):
        return {"source": "url", "content": text}
    if text.startswith("data:"):
        return {"source": "base64", "content": text}
    return {"source": "base64", "content": b64encode(Path(entry).expanduser().read_bytes()).decode("ascii")}


def document_type(path: str) -> str:
    """Return what a file's ending says of it."""
    ending = Path(path.partition("?")[0]).suffix.lower().removeprefix(".")
    return "image" if ending in _IMAGES else {"htm": "html"}.get(ending, ending)


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _name_of(kind: str, entry: str) -> dict[str, str]:
    return {} if kind != "document" or entry.startswith("data:") else {"filename": Path(entry).name}
