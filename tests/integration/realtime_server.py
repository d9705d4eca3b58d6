"""The realtime pipeline behind a real server on a loopback socket, and clients of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect

from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.runner import Pipeline
from fastembed.server.http.server import listen
from fastembed.server.realtime.session import RealtimeRoute
from fastembed.sources.websocket import Websocket, WebsocketRoutes

REGISTRY = Registry({"source": "fastembed.sources", "operator": "fastembed.operators", "sink": "fastembed.sinks"})
PIPELINE = """
version: 1
pipelines:
  transcription:
    source: {{websocket: /v1/realtime, sessions: {sessions}, queue: 5s, overflow: drop_oldest}}
    operators:
      - decode: {{rate: 16000}}
        queue: 64
      - vad: {{silence: 500ms}}
        queue: 64
      - transcribe: {{model: {model}}}
        order: none
        latest: not item.final
    sink: reply
"""
PCM_16 = {"format": {"type": "audio/pcm", "rate": 16_000}}
BY_HAND = {**PCM_16, "turn_detection": None}
"""Settings of a session: 16 kHz; and its turns ended by the client."""


@dataclass
class Served:
    """A running server. port: on 127.0.0.1."""

    engine: Engine
    port: int
    draining: asyncio.Event

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime?intent=transcription"

    @property
    def pipeline(self) -> Pipeline:
        return self.engine.pipelines["transcription"]

    @property
    def source(self) -> Websocket:
        return self.pipeline.source

    async def settled(self) -> None:
        """Return when no session is left and every item has ended."""
        async with asyncio.timeout(10):
            while self.source.count or self.pipeline.stats.in_flight:  # noqa: ASYNC110 - no event says both
                await asyncio.sleep(0.01)


def configuration(*, model: str = "whisper-pocket", sessions: int = 32) -> Configuration:
    """Return the pipeline's configuration."""
    return parse(PIPELINE.format(model=model, sessions=sessions), registry=REGISTRY)


@asynccontextmanager
async def serving(*, model: str = "whisper-pocket", sessions: int = 32) -> AsyncIterator[Served]:
    """Serve the pipeline until the block ends."""
    models, routes = Models(devices=Devices({"cpu": DeviceLimits(inflight=2)})), WebsocketRoutes()
    engines = SpeechEngines(models)
    engine = Engine(Resources(engines, routes))
    await engine.start(configuration(model=model, sessions=sessions))
    draining = asyncio.Event()
    app = Starlette(routes=[RealtimeRoute(routes, check=engines.check, draining=draining)])
    config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None, ws_max_size=24 << 20)
    server = uvicorn.Server(config)
    sock = listen("127.0.0.1", 0)
    running = asyncio.create_task(server.serve([sock]))
    try:
        while routes.get("/v1/realtime") is None or not server.started:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        yield Served(engine, sock.getsockname()[1], draining)
    finally:
        draining.set()
        await engine.stop()
        await engines.close()
        await models.close()
        server.should_exit = True
        await running


class Client:
    """A client that speaks the protocol by hand."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def append(self, audio: bytes, size: int = 1 << 16) -> None:
        for at in range(0, len(audio), size):
            await self.say("input_audio_buffer.append", audio=base64.b64encode(audio[at : at + size]).decode())

    async def configure(self, **settings: Any) -> dict[str, Any]:
        """Send a session.update and wait for its answer."""
        await self.say("session.update", session={"type": "transcription", "audio": {"input": settings}})
        return await self.until("session.updated")

    async def until(self, *kinds: str) -> dict[str, Any]:
        """Return the next event of one of these types; those before it are kept in `events`."""
        async with asyncio.timeout(30):
            while True:
                event = json.loads(await self.connection.recv())
                self.events.append(event)
                if any(event["type"].endswith(kind) for kind in kinds):
                    return event

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"].endswith(kind)]


@asynccontextmanager
async def client(served: Served, **options: Any) -> AsyncIterator[Client]:
    """Connect, wait for session.created."""
    async with connect(served.url, max_size=None, **options) as connection:
        session = Client(connection)
        await session.until("session.created")
        yield session
