"""A real model is there before it is asked for, if it usually is at that hour."""

import asyncio
import logging
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fastembed.inference.library.policies import WarmupPolicy
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.warmup.history import KEPT_H, History
from fastembed.inference.serving.warmup.warmup import Warmup, hour_of

MODELS = Path(__file__).parent.parent.parent / "models"
MONDAY = datetime(2026, 11, 23, 9, 5)  # noqa: DTZ001 - local time


async def remembered(file, *, until=MONDAY, model="mini"):
    """Write four weeks in which a model was used on working days from nine to ten."""
    history = History(file)
    await history.open()
    for back in range(28 * 24, 0, -1):
        hour = until - timedelta(hours=back)
        habit = hour.weekday() < 5 and hour.hour in (9, 10)
        if 7 <= hour.hour < 12:
            await history.note(hour_of(hour), {model: 3.0} if habit else {})
    await history.close()


@pytest.fixture(scope="module")
def habits(tmp_path_factory):
    file = tmp_path_factory.mktemp("home") / "usage.duckdb"
    asyncio.run(remembered(file))
    return file


@pytest.fixture
async def made(tmp_path, habits):
    """Return a function that makes models and their warm-up at a time."""
    closing = []

    async def made(now, memory="2GiB", **policy):
        file = tmp_path / "usage.duckdb"
        if not file.exists():
            file.write_bytes(habits.read_bytes())
        sections = {
            "models": {"mini": {"from": str(MODELS / "minilm")}, "talk": {"from": str(MODELS / "chat-pocket")}},
            "devices": {"cpu": {"memory": memory}},
        }
        models, history = Models.from_sections(sections, tmp_path), History(file)
        await history.open()
        closing.extend([models, history])
        return models, Warmup(models, history, WarmupPolicy(**policy), now=lambda: now)

    yield made
    for resource in closing:
        await resource.close()


def ready(models):
    return {name for (name, _), resident in models.residents.known.items() if resident.ready}


async def test_a_model_is_loaded_in_its_hour_and_not_in_others(made):
    models, warmup = await made(MONDAY + timedelta(hours=11))
    assert await warmup.turn() == []
    models, warmup = await made(MONDAY)
    assert await warmup.turn() == ["mini"]
    assert ready(models) == {"mini"}
    assert warmup.chances["mini"] > 0.7
    assert await warmup.turn() == []


async def test_nobody_leaves_for_a_forecast(made):
    models, warmup = await made(MONDAY, memory="100MiB")
    async with models.lend("talk", "chat"):
        pass
    assert await warmup.turn() == []
    assert ready(models) == {"talk"}


async def test_the_threshold_is_the_users(made):
    models, warmup = await made(MONDAY, above=0.999)
    assert await warmup.turn() == []
    assert ready(models) == set()


async def test_what_is_used_is_remembered_by_the_hour_and_loading_ahead_is_no_use(made):
    models, warmup = await made(MONDAY)
    await warmup.turn()
    for _ in range(2):
        async with models.lend("mini", "embedding"):
            pass
        await warmup.turn()
    assert warmup._history._uses["mini"][hour_of(MONDAY)] == 2


async def test_the_history_outlives_the_process_and_what_is_old_is_dropped(tmp_path):
    file = tmp_path / "usage.duckdb"
    for hour in (100, 101, 101, 101 + KEPT_H):
        history = History(file)
        await history.open()
        await history.note(hour, {"mini": 1.0})
        await history.close()
    history = History(file)
    await history.open()
    assert history.used() == {"mini": [101, 101 + KEPT_H]}
    assert sorted(history.observed()) == [101, 101 + KEPT_H]
    await history.close()


async def test_a_second_server_of_a_user_leaves_the_habits_to_the_first(tmp_path, caplog):
    file = tmp_path / "usage.duckdb"
    hold = f"import duckdb; c = duckdb.connect({str(file)!r}); print('open', flush=True); input()"
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        caplog.set_level(logging.INFO, "fastembed.warmup")
        history = History(file)
        await history.open()
        await history.close()
        holder.kill()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("habits are remembered by another server of this user")


async def test_a_file_that_is_no_database_is_left_alone(tmp_path, caplog):
    file = tmp_path / "usage.duckdb"
    file.write_text("a letter to my mother " * 1000)
    history = History(file)
    await history.open()
    await history.note(1, {"mini": 1.0})
    assert history.used() == {"mini": [1]}
    await history.close()
    assert "habits are not remembered" in caplog.text
    assert file.read_text().startswith("a letter")
