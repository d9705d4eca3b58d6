from __future__ import annotations

import logging

import orjson
import pytest

from fastembed.server.observability.logs import JsonFormatter, TextFormatter


def record(message, **extra):
    made = logging.LogRecord("fastembed.pipeline", logging.WARNING, "f.py", 1, message, (), None)
    made.created = 0.25
    vars(made).update(extra)
    return made


def test_json_has_the_ids_and_the_time_in_utc():
    line = orjson.loads(JsonFormatter().format(record("slow", request="r1", item=7, pipeline="p", step=None)))
    assert line == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "warning",
        "logger": "fastembed.pipeline",
        "message": "slow",
        "request": "r1",
        "item": 7,
        "pipeline": "p",
    }


def test_json_keeps_an_error_on_its_line():
    failed = record("failed")
    try:
        int("why")
    except ValueError as error:
        failed.exc_info = (ValueError, error, error.__traceback__)
    text = JsonFormatter().format(failed)
    assert "\n" not in text
    error = orjson.loads(text)["error"]
    assert (error["type"], error["message"]) == ("ValueError", "invalid literal for int() with base 10: 'why'")
    assert "test_logs.py" in error["trace"]


@pytest.mark.parametrize("forged", ["GET /a\n12:00:00 info access: GET /b", "\x1b[31mred"])
def test_what_a_client_sent_cannot_start_a_line_of_its_own(forged):
    text = TextFormatter().format(record(forged, request="r1"))
    assert text.isprintable()
    assert text.endswith("(request=r1)")
    assert "warning pipeline: " in text
