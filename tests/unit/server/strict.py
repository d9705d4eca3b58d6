"""Fields of which an unknown one is refused, as with `serve --unknown-fields reject`."""

from __future__ import annotations

from fastembed.server.wire.fields import Fields
from fastembed.server.wire.unknown_fields import UnknownFields


def strict(body: object) -> Fields:
    return Fields(body, unknown=UnknownFields(reject=True))
