"""One websocket connection: uvicorn's, with every refusal answered, and none of them an error of this server's."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from fastembed.server.http.errors import error_body


class WebsocketConnection(WebSocketsSansIOProtocol):
    """A handshake that cannot be read is a 400; uvicorn 0.54 leaves its connection open without an answer.

    A handshake that the application refuses is complete with that answer; uvicorn logs it as an error.
    """

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what is no handshake: headers beyond the library's limits, one with a body."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            body = error_body(
                f"not a valid websocket handshake: {self.conn.handshake_exc}",
                "invalid_request_error",
                code="invalid_http",
            )
            head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head.encode("ascii") + body)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send a message of the application; the last of a refusal completes the handshake."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
