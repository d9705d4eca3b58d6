import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastembed.documents.pool import WorkerPool
from fastembed.documents.worker import WorkerSettings
from fastembed.pipeline.errors import Expired, TooLarge, Unavailable, Unprocessable

HERE = Path(__file__).parent


@pytest.fixture
def make_pool(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))

    def make(target="obedient", **settings):
        return WorkerPool(WorkerSettings(target=f"parser_targets:{target}", **settings), pauses_s=(0.0, 0.0))

    return make


@pytest.fixture
async def pool(make_pool):
    made = make_pool()
    yield made
    await made.close()


@pytest.fixture
def begun(tmp_path):
    """Give a FIFO that a hanging process writes to, and what waits for that."""
    fifo = tmp_path / "begun"
    os.mkfifo(fifo)
    return fifo


def gone(pid):
    """Whether there is no such process, not even a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_one_process_answers_one_request_after_the_other(pool):
    first = await pool.run({"do": "echo", "say": "Grüße"})
    second = await pool.run({"do": "echo"})
    assert first["said"] == "Grüße"
    assert second["pid"] == first["pid"] != os.getpid()
    assert second["served"] == 2


async def test_large_answers_come_whole(pool):
    said = "x" * 5_000_000
    assert (await pool.run({"do": "echo", "say": said}))["said"] == said


async def test_what_libraries_print_or_read_does_not_disturb(pool):
    assert (await pool.run({"do": "chatter"}))["served"] == 1
    assert (await pool.run({"do": "echo"}))["served"] == 2


async def test_an_error_keeps_its_class_code_and_message_and_the_process(pool):
    with pytest.raises(TooLarge, match="found 9, expected 3") as caught:
        await pool.run({"do": "refuse"})
    assert caught.value.code == "too_large"
    assert (await pool.run({"do": "echo"}))["served"] == 2


async def test_an_unexpected_error_is_the_files_fault_and_the_log_says_where_it_was(pool, caplog):
    caplog.set_level("INFO", "fastembed.parse")
    with pytest.raises(Unprocessable, match=r"KeyError: 'w:body'") as caught:
        await pool.run({"do": "stumble"})
    assert caught.value.code == "corrupt"
    assert "In the parser process:" in caplog.text
    assert "in _stumble" in caplog.text


async def test_endless_nesting_is_too_deep(pool):
    with pytest.raises(Unprocessable, match="nested too deeply") as caught:
        await pool.run({"do": "recurse"})
    assert caught.value.code == "too_deep"


@pytest.mark.parametrize(("deed", "ended"), [("crash", "SIGSEGV"), ("leave", "exit status 3")])
async def test_what_crashes_two_fresh_processes_fails_its_file_only(pool, deed, ended):
    before = await pool.run({"do": "echo"})
    with pytest.raises(Unprocessable, match=f"crashed twice over this document .*{ended}") as caught:
        await pool.run({"do": deed})
    assert caught.value.code == "parser_died"
    assert pool.started == 3 + 1  # the used one, two fresh ones, and the next
    after = await pool.run({"do": "echo"})
    assert after["pid"] != before["pid"]
    assert gone(before["pid"])


@pytest.mark.parametrize("deed", ["killed", "crash", "bloat", "ocr_fails"])
async def test_what_happens_once_is_tried_again_in_a_fresh_process(make_pool, tmp_path, deed):
    pool = make_pool(memory_bytes=1 << 30)
    before = await pool.run({"do": "echo"})
    marker = tmp_path / "happened"
    after = await pool.run({"do": "once", "deed": deed, "marker": str(marker)})
    assert marker.exists()
    assert (after["served"], after["pid"] != before["pid"]) == (1, True)
    await pool.close()


@pytest.mark.parametrize(
    ("deed", "message"), [("killed", "ended by SIGKILL"), ("ocr_fails", r"could not read a page \(RuntimeError\)")]
)
async def test_what_the_machine_does_three_times_is_not_the_files_fault(pool, deed, message):
    with pytest.raises(Unavailable, match=f"{message}.*3 times.*not the document.s fault") as caught:
        await pool.run({"do": deed})
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "parser_unavailable", 5.0)
    assert (await pool.run({"do": "echo"}))["served"] == 1


async def test_a_process_that_a_machine_without_memory_or_ids_cannot_start_is_unavailable(pool, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match=r"did not start \(.*No such file.*3 times"):
        await pool.run({"do": "echo"})


async def test_memory_that_is_kept_retires_a_process_in_the_measure_of_its_limit(make_pool):
    pool = make_pool(memory_bytes=1 << 30)
    pids = [(await pool.run({"do": "keep", "mib": 300}))["pid"] for _ in range(7)]
    assert pids[0] == pids[1] == pids[2] != pids[3]  # after 900 of 1024 MiB, none of which was ever touched
    assert len(set(pids)) == 3
    await pool.close()


async def test_a_process_killed_while_idle_is_replaced(pool):
    before = await pool.run({"do": "echo"})
    os.kill(before["pid"], signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, before["pid"], os.WEXITED | os.WNOWAIT)
    assert (await pool.run({"do": "echo"}))["pid"] != before["pid"]


async def test_what_ends_the_server_lets_the_process_finish(pool):
    before = await pool.run({"do": "echo"})
    os.kill(before["pid"], signal.SIGINT)
    os.kill(before["pid"], signal.SIGTERM)
    assert (await pool.run({"do": "echo"}))["pid"] == before["pid"]


async def test_too_much_memory_refuses_the_file_and_replaces_the_process(make_pool):
    pool = make_pool(memory_bytes=1 << 30)
    before = await pool.run({"do": "echo"})
    with pytest.raises(TooLarge, match="at most 1,024 MiB") as caught:
        await pool.run({"do": "bloat"})
    assert caught.value.code == "out_of_memory"
    assert (await pool.run({"do": "echo"}))["pid"] != before["pid"]
    await pool.close()


async def test_cancelling_kills_the_process(pool, begun):
    before = await pool.run({"do": "echo"})
    task = asyncio.create_task(pool.run({"do": "hang", "started": str(begun)}))
    await asyncio.to_thread(begun.read_text)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = await pool.run({"do": "echo"})
    assert after["pid"] != before["pid"]
    assert gone(before["pid"])


async def test_cancelling_while_the_process_starts_keeps_it(pool):
    pool.start()
    (pid,) = pool.pids
    task = asyncio.create_task(pool.run({"do": "echo"}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await pool.run({"do": "echo"}))["pid"] == pid


async def test_a_hanging_process_is_killed_after_the_limit(pool, begun):
    before = await pool.run({"do": "echo"})
    reader = asyncio.create_task(asyncio.to_thread(begun.read_text))
    with pytest.raises(Expired, match=r"no result after 0\.5 s") as caught:
        await pool.run({"do": "hang", "started": str(begun)}, limit_s=0.5)
    assert caught.value.code == "parse_timeout"
    await reader
    await pool.close()
    assert gone(before["pid"])


async def test_a_process_is_replaced_after_its_share_of_requests(make_pool):
    pool = make_pool(recycle=3)
    pids = [(await pool.run({"do": "echo"}))["pid"] for _ in range(7)]
    assert len(set(pids)) == 3
    assert pids[0] == pids[2] != pids[3]
    await pool.close()
    assert all(gone(pid) for pid in pids)


async def test_requests_at_once_get_a_process_each(pool):
    answers = await asyncio.gather(*(pool.run({"do": "echo"}) for _ in range(3)))
    assert len({answer["pid"] for answer in answers}) == 3


async def test_a_process_that_cannot_start_says_why(make_pool):
    pool = make_pool("broken")
    with pytest.raises(Unavailable, match="no parser here"):
        await pool.run({"do": "echo"})
    await pool.close()


async def test_starting_returns_at_once_and_close_leaves_nothing(make_pool):
    pool = make_pool()
    pool.start()
    (pid,) = pool.pids
    await pool.close()
    assert gone(pid)
    assert pool.pids == []


async def test_close_ends_a_request_in_flight(make_pool, begun):
    pool = make_pool()
    task = asyncio.create_task(pool.run({"do": "hang", "started": str(begun)}))
    await asyncio.to_thread(begun.read_text)
    await pool.close()
    with pytest.raises(Unavailable, match="closed"):
        await task
    assert pool.pids == []


async def test_options_reach_the_process(make_pool):
    pool = make_pool(options={"ocr": "never"})
    assert (await pool.run({"do": "echo"}))["ocr"] == "never"
    await pool.close()


PARENT = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from fastembed.documents.pool import WorkerPool
from fastembed.documents.worker import WorkerSettings
async def main():
    pool = WorkerPool(WorkerSettings(target="parser_targets:obedient"))
    answer = await pool.run({"do": "echo"})
    asyncio.create_task(pool.run({"do": "hang", "started": sys.argv[2]}))
    print(answer["pid"], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_a_parser_dies_with_its_parent_even_while_it_works(begun):
    command = [sys.executable, "-c", PARENT, str(HERE), str(begun)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        begun.read_text()
        watch = os.pidfd_open(pid)
        parent.kill()
    assert select.select([watch], [], [], 10)[0], "the parser process outlived its parent"
    os.close(watch)


async def test_the_event_loop_runs_on_while_a_process_starts_and_works(pool):
    beats = 0
    done = threading.Event()

    async def heart():
        nonlocal beats
        while not done.is_set():
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(heart())
    await pool.run({"do": "echo"})
    done.set()
    await beating
    assert beats > 100
