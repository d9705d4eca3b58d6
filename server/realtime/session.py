"""The websocket of a realtime session: its receiving and sending tasks, and the pipeline between them.

Ends of a session: the client closes or vanishes (everything that it caused is cancelled); it reads too slowly (1008);
the server drains (what was being said is answered, then 1012). A client too many is refused before the
handshake with 429, or accepted and closed with 1013 where the server cannot answer with a status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import InvalidInput, ItemError, NotFound, Unavailable
from fastembed.pipeline.payload.audio import SpeechSettings
from fastembed.server.http.errors import UpgradeRequired, error_response
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.http.path_aliases import resolve
from fastembed.server.http.request_body import header
from fastembed.server.http.scopes import AUDIO, CHAT, require_scope
from fastembed.server.realtime.dialogue_settings import model_name
from fastembed.server.realtime.events import new_id
from fastembed.server.realtime.messages import serve_messages
from fastembed.server.realtime.outbox import Outbox
from fastembed.server.realtime.protocol import Protocol, Talk
from fastembed.server.realtime.reaction import Reaction
from fastembed.server.realtime.responder import AnswerPipelines, Responder
from fastembed.server.realtime.session_tasks import SessionTasks
from fastembed.server.realtime.whisper_live import serve_whisper_live
from fastembed.sources.websocket import Session, Websocket, WebsocketRoutes

TRY_AGAIN: Final = 1013
REALTIME_PATH: Final = "/v1/realtime"
WHISPER_LIVE_PATH: Final = "/"
_SUBPROTOCOL: Final = "realtime"
_BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"  # browsers can send no header

Check = Callable[[SpeechSettings], None]


class RealtimeRoute(BaseRoute):
    """All paths that websocket pipelines serve, looked up when a client connects: a reload needs no new application.

    check: refuses, with an ItemError, settings that the speech engines cannot serve. draining: set when the server
    stops: sessions answer what was being said, then end. starting: whether what is not served may be soon. answers:
    what conversations are answered with.
    """

    def __init__(
        self,
        routes: WebsocketRoutes,
        *,
        check: Check = lambda _: None,
        draining: asyncio.Event | None = None,
        starting: Callable[[], bool] = lambda: False,
        answers: AnswerPipelines | None = None,
    ) -> None:
        self._routes = routes
        self._answers = answers
        self._check = check
        self._draining = draining or asyncio.Event()
        self._starting = starting

    @classmethod
    def of(cls, resources: Resources, lifecycle: Lifecycle, check: Check, answers: AnswerPipelines) -> RealtimeRoute:
        """Return that of a server."""
        return cls(
            resources.get(WebsocketRoutes),
            check=check,
            draining=lifecycle.draining,
            starting=lambda: lifecycle.phase == "starting",
            answers=answers,
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every websocket (one not served is refused with a reason), and plain requests to a websocket's path."""
        served = scope["type"] == "http" and self._routes.get(scope["path"]) is not None
        return Match.FULL if served or scope["type"] == "websocket" else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client to its end."""
        path = scope["path"]
        served = resolve(path, lambda near: self._routes.get(near) is not None)
        source = self._routes.get(served)
        if source is not None:
            scope["served_path"] = served
        if scope["type"] == "http":
            raise UpgradeRequired(f"found {scope['method']} {path}, expected a websocket handshake")
        websocket = WebSocket(scope, receive, send)
        try:
            if source is None and path == WHISPER_LIVE_PATH and (near := self._routes.get(REALTIME_PATH)) is not None:
                require_scope(scope, AUDIO, "WhisperLive's protocol")
                scope["served_path"] = path
                await serve_whisper_live(websocket, near, check=self._check, draining=self._draining)
                return
            if source is None and self._starting():
                raise Unavailable(f"the server is starting; {path} may be served soon, try again")
            if source is None:
                known = ", ".join(self._routes.paths()) or "none"
                raise NotFound(f"found no websocket {path}, expected one of {known}", code="unknown_url")
            if source.messages != "speech":
                await serve_messages(websocket, source, self._draining)
                return
            answers = self._answers if conversational(websocket, served, self._answers) else None
            await serve(websocket, source, check=self._check, draining=self._draining, answers=answers)
        except ItemError as error:
            if websocket.client_state is not WebSocketState.CONNECTING:
                raise
            await _refuse(websocket, error)


def conversational(websocket: WebSocket, path: str, answers: AnswerPipelines | None) -> bool:
    """Whether a session is a conversation; else it transcribes. Raises an ItemError for a kind that is not served."""
    intent = websocket.query_params.get("intent", "") or _intent_of(websocket.scope.get("client_secret"))
    if intent == "transcription" or (not intent and path != REALTIME_PATH):
        return False
    if intent not in ("", "conversation", "realtime"):
        raise InvalidInput(
            f"found intent {intent!r:.80}, expected transcription, or none: a conversation", param="intent"
        )
    if "call_id" in websocket.query_params:
        raise InvalidInput("found call_id, expected none: this server has no calls to join", param="call_id")
    if _is_beta(websocket):
        raise InvalidInput(
            "found a conversation of the beta, expected one without the header OpenAI-Beta (and without its "
            "subprotocol): conversations are served as the API has them since; or ?intent=transcription",
            code="beta_api_shape_disabled",
        )
    if answers is None or not answers.answers():
        raise NotFound(
            "found a conversation, which no pipeline here answers: expected one on POST /v1/chat/completions, or "
            "?intent=transcription to have speech written down",
            code="unknown_url",
        )
    require_scope(websocket.scope, CHAT, "conversations")
    return True


def _intent_of(session: Mapping[str, Any] | None) -> str:
    """Return the kind of session that a client secret is for."""
    return "" if session is None else str(session.get("type") or "")


def _is_beta(websocket: WebSocket) -> bool:
    offered = websocket.scope.get("subprotocols", ())
    return (header(websocket.scope, b"openai-beta") or b"").startswith(b"realtime") or _BETA_SUBPROTOCOL in offered


async def serve(
    websocket: WebSocket,
    source: Websocket,
    *,
    check: Check,
    draining: asyncio.Event,
    answers: AnswerPipelines | None = None,
) -> None:
    """Run one session. Raises what `Websocket.connect` does if it is not let in: nothing has been accepted then."""
    trace = websocket.scope.get("request_id")
    responder = talk = None
    if answers is not None:
        owner, meter = websocket.scope.get("owner", ""), websocket.scope.get("meter")
        pipelines = replace(answers, references=answers.references.of(owner), meter=meter)
        responder = Responder(pipelines, lambda: outbox, trace)
        talk = Talk(responder, pipelines.speaks, pipelines.model)
    protocol = Protocol(new_id("sess"), beta=_is_beta(websocket), check=check, talk=talk)
    outbox = Outbox(protocol)
    session = source.connect(protocol.session_id, outbox, trace=trace)
    try:
        await websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in websocket.scope.get("subprotocols", ()) else None)
        receive = _SpeechSession(websocket, protocol, outbox, session).receive
        await SessionTasks(websocket, outbox, session, receive).run(draining)
    finally:
        session.leave()
        protocol.dialogue.close()
        if responder is not None:
            await responder.close()


async def _refuse(websocket: WebSocket, error: ItemError) -> None:
    """Answer the handshake with the error's status, or close where the server cannot."""
    if "websocket.http.response" not in websocket.scope.get("extensions", {}):
        await websocket.close(TRY_AGAIN, error.message[:100])
        return
    what = error_response(error, websocket.scope.get("request_id", ""))
    websocket.scope["refused_with"] = what.status  # the gateway notes it
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in what.headers}
    await websocket.send_denial_response(
        Response(what.body, what.status, headers=headers, media_type="application/json")
    )


class _SpeechSession:
    """One client of the realtime protocol: its messages in, by way of the protocol, and its events out."""

    def __init__(self, websocket: WebSocket, protocol: Protocol, outbox: Outbox, session: Session) -> None:
        self._websocket = websocket
        self._protocol = protocol
        self._outbox = outbox
        self._session = session

    async def receive(self) -> None:
        """Take the client's messages until it leaves, or the session ends."""
        await self._put(self._protocol.start(self._model(), self._websocket.scope.get("client_secret")))
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, data = message.get("text"), message.get("bytes")
            reaction = self._protocol.on_text(text) if text is not None else self._protocol.on_bytes(data or b"")
            try:
                await self._put(reaction)
            except Unavailable:
                await self._session.ended.wait()
                return

    async def _put(self, reaction: Reaction) -> None:
        self._outbox.put(reaction.events)
        for value in reaction.values:
            await self._session.send(value)

    def _model(self) -> str | None:
        """Return the model that the address asks for; of transcriptions, names of conversations' mean the default."""
        model: Any = self._websocket.query_params.get("model")
        return None if not model or model_name(str(model)) == "auto" else str(model)
