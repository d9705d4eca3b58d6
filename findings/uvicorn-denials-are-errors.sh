#!/bin/sh
# ASGI lets an application refuse a websocket with an HTTP answer (`websocket.http.response.start` and `.body`). uvicorn's
# "websockets-sansio" sends it, and then logs at the level ERROR that the handshake was not completed: whoever watches
# the log for errors is called for every client without a key. Expected: no line, or one of the access log.
# Prints the version, the status and the line; fails if the line is gone.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uvicorn==0.54.0 websockets==17.4
cd "$folder" && venv/bin/python - <<'PY'
import asyncio, logging, uvicorn, websockets
from websockets.asyncio.client import connect

lines = []
class Lines(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.ERROR:
            lines.append(record.getMessage())
logging.getLogger("uvicorn.error").addHandler(Lines())

async def app(scope, receive, send):
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"no key"})

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="websockets-sansio", lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with connect(f"ws://127.0.0.1:{port}/"):
            raise AssertionError("it was let in")
    except websockets.exceptions.InvalidStatus as refused:
        status = refused.response.status_code
    server.should_exit = True
    await task
    print("uvicorn", uvicorn.__version__, "answered", status, "and logged", lines)
    assert status == 401 and lines == ["ASGI callable returned without completing handshake."], "the override can go"

asyncio.run(main())
PY
