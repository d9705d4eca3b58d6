"""`fastembed status`: what the running server does, once or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fastembed.commands.server import asked_server

if TYPE_CHECKING:
    from fastembed.client import SyncFastEmbedClient, SystemStatus

_WIDE: Final = 240
"""Columns where no terminal says how many there are: nothing is cut in files and pipes."""
_BAD: Final = ("failed", "rejected", "expired")
Counts = Mapping[str, int]


def status(*, once: bool, every_s: float, as_json: bool, config: Path | None, url: str, api_key: str | None) -> int:
    """Print the state of the server; on a terminal it is kept up to date until Ctrl-C."""
    with asked_server(url, api_key, config, timeout_s=10.0) as client:
        if as_json:
            typer.echo(orjson.dumps(_look(client), option=orjson.OPT_INDENT_2))
        elif once or not sys.stdout.isatty():
            Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(
                shown(client.system.status(), _models(client), {}, 0.0)
            )
        else:
            _follow(client, every_s)
    return 0


def _look(client: SyncFastEmbedClient) -> dict[str, Any]:
    return {**client.system.status().to_dict(), "models": _models(client), "url": client.root}


def _models(client: SyncFastEmbedClient) -> list[dict[str, Any]]:
    return [model.to_dict() for model in client.models.list()]


def _follow(client: SyncFastEmbedClient, every_s: float) -> None:
    before: Counts = {}
    looked_s = time.monotonic()
    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            found = client.system.status()
            now_s = time.monotonic()
            live.update(shown(found, _models(client), before, now_s - looked_s), refresh=True)
            before, looked_s = _ended(found), now_s
            time.sleep(every_s)


def _ended(found: SystemStatus) -> dict[str, int]:
    return {pipeline.name: sum(pipeline.outcomes.values()) for pipeline in found.pipelines}


def shown(found: SystemStatus, models: list[dict[str, Any]], before: Counts, elapsed_s: float) -> Group:
    """Return what is printed. before: items that had ended `elapsed_s` seconds ago, by pipeline; empty: no rates."""
    metrics = found.performance_metrics
    head = (
        f"FastEmbed {found.version}  {found.phase}  up {_span(found.uptime_seconds)}  "
        f"{metrics.requests_per_minute:g} requests/min  mean {metrics.avg_response_time or '-'}  "
        f"memory {found.process['memory'] or '-'}"
    )
    parts: list[Any] = [Text(head), Text(""), _pipelines(found, before, elapsed_s), Text("")]
    parts += [_loaded(found), *_coming(models), *(Text(f"! {problem}") for problem in found.problems)]
    return Group(*parts)


def _pipelines(found: SystemStatus, before: Counts, elapsed_s: float) -> Table:
    table = Table("pipeline", "state", box=None, pad_edge=False)
    for name in ("items/s", "queued", "running", "delivered", "failed"):
        table.add_column(name, justify="right")
    table.add_column("source")
    ended = _ended(found)
    for one in found.pipelines:
        rate = "" if not before or elapsed_s <= 0 else f"{(ended[one.name] - before.get(one.name, 0)) / elapsed_s:.1f}"
        bad = sum(one.outcomes.get(name, 0) for name in _BAD)
        running, delivered = str(max(0, one.in_flight - one.waiting)), str(one.outcomes.get("delivered", 0))
        table.add_row(one.name, one.state, rate, str(one.waiting), running, delivered, str(bad or ""), one.source)
    return table


def _loaded(found: SystemStatus) -> Table:
    table = Table("model", "device", "state", "memory", "requests", "last used", box=None, pad_edge=False)
    for one in found.loaded_models:
        requests = f"{one.requests_running}" + (f" +{one.requests_queued}" if one.requests_queued else "")
        table.add_row(one.model_id, one.device, one.state, one.memory_usage or "", requests, one.last_used)
    return table


def _coming(models: list[dict[str, Any]]) -> list[Text]:
    """Return a line for each model that is being fetched, or could not be."""
    lines = []
    for model in models:
        if (download := model.get("download")) is not None:
            percent = "" if download["percent"] is None else f" {download['percent']:g} %"
            lines.append(Text(f"{model['id']}  {model['state']}{percent}  {download['error'] or ''}".rstrip()))
    return lines


def _span(seconds: float) -> str:
    """Write a duration as `3 d 4 h`, `4 h 5 min`, `5 min`, `6 s`."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
