"""The log: one line an event, as text for people or as JSON for machines, with the ids that tie events together."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final, Literal, TextIO

import orjson

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

CONTEXT: Final = ("request", "item", "pipeline", "step", "session", "client", "status")
"""Names in a record's `extra` that are written: the ids, and where it happened."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, RFC 3339), level, logger, message, the ids it has, and the error if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = {
                "type": type(record.exc_info[1]).__name__,
                "message": str(record.exc_info[1]),
                "trace": self.formatException(record.exc_info),
            }
        return orjson.dumps(entry, default=str).decode()


class TextFormatter(logging.Formatter):
    """`12:30:01 warning pipeline: message (request=req_1 step=embed)`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the line without the traceback."""
        ids = " ".join(f"{name}={_one_line(value)}" for name, value in _context(record).items())
        where = record.name.removeprefix("fastembed.")
        head = f"{record.asctime} {record.levelname.lower()} {where}: {_one_line(record.message)}"
        return f"{head} ({ids})" if ids else head


def configure(log_format: Format = "text", level: Level = "info", *, stream: TextIO | None = None) -> None:
    """Send the whole process's log to `stream` (standard error): standard output belongs to results."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level != "error" else logging.ERROR)
    for name in ("fastembed", "uvicorn.error"):
        logging.getLogger(name).setLevel(level.upper())
    if level == "info":  # uvicorn tells about its own start and stop; `serve` prints what matters of it
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _context(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name in CONTEXT if (value := getattr(record, name, None)) is not None}


def _one_line(value: object) -> str:
    """Keep what a client sent (a path, an id) from starting a line of its own in the log."""
    text = str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _utc(created: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(created))}.{int(created % 1 * 1000):03d}Z"
