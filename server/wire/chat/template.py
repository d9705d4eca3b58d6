"""What a request tells the model's chat template: `chat_template_kwargs`, as vLLM, SGLang and llama.cpp have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from fastembed.inference.engines.chat.schema import MAX_DEPTH, deeper
from fastembed.server.wire.fields import Fields, refuse

FIELD: Final = "chat_template_kwargs"
_MOST_BYTES: Final = 64 * 2**10
_OURS: Final = frozenset(
    ("messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "bos_token", "eos_token")
)
"""What the server itself gives to the template: set by a request, it would take the place of the conversation."""


def read_template(body: Fields) -> Mapping[str, Any]:
    """Return the variables. InvalidInput names one that is the server's to set."""
    found = body.mapping(FIELD)
    if not found:
        return {}
    if deeper(found):
        refuse(f"found objects nested deeper than {MAX_DEPTH}, expected less", FIELD)
    if (size := len(orjson.dumps(found))) > _MOST_BYTES:
        refuse(f"found {size} bytes of JSON, expected at most {_MOST_BYTES}", FIELD)
    for name in found:
        if name in _OURS:
            refuse(f"found {name}, which the server sets, expected others, such as enable_thinking", f"{FIELD}.{name}")
    return found
