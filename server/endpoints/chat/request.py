"""The request of POST /v1/chat/completions: its OpenAPI description, and how it is decoded.

Every field that the API has is checked, also those without effect here (`store`, `prediction`, `verbosity`, ...:
nothing is stored, guessed or served in tiers); for fields that it has not see `unknown_fields`.
Extensions: `modality_routing`, `npu_priority`, `model_fallback`, parts of the type `audio`, and the short form of a
JSON schema.
"""

from __future__ import annotations

from typing import Final

from fastembed.pipeline.payload.chat import ChatRequest
from fastembed.server.endpoints.chat.messages import MAX_MESSAGES, read_messages
from fastembed.server.endpoints.chat.tools import GUIDES, read_format, read_tools
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.wire.chat.functions import MAX_TOOLS
from fastembed.server.wire.chat.sampling import (
    DELIVERY,
    EXTENSIONS,
    MAX_CHOICES,
    MAX_TOKENS,
    MODEL,
    NO_LIMIT,
    SAMPLING,
    UNLIMITED,
    Delivery,
    read_delivery,
    read_limit,
    read_model,
    read_preferences,
    read_sampling,
)
from fastembed.server.wire.chat.template import read_template
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.metadata import MAX_METADATA, read_metadata
from fastembed.server.wire.operation import EVENTS, JSON, Operation
from fastembed.server.wire.schema import an_object, choice, flag, listed, one_of, string, whole

MAX_TOP_LOGPROBS: Final = 20

_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")
_NO_EFFECT: Final = "checked, without effect"
_WITHOUT_EFFECT: Final = ("user", "safety_identifier", "prompt_cache_key")
_VERBOSITIES: Final = ("low", "medium", "high")
_RETENTIONS: Final = ("in_memory", "in-memory", "24h")
_UNSUPPORTED: Final = {
    "audio": "answers are text",
    "web_search_options": "this server searches no web",
    "moderation": "this server has no moderation model",
}
OPERATION: Final = Operation(
    "POST",
    "/v1/chat/completions",
    "Answer a conversation",
    body=an_object(
        {
            "messages": listed(an_object(), "roles system, developer, user, assistant, tool", most=MAX_MESSAGES),
            "model": MODEL,
            "tools": listed(an_object(), "functions that the model may call", most=MAX_TOOLS),
            "tool_choice": one_of(string(), an_object(), about="none, auto, required, or the tool to call"),
            "parallel_tool_calls": flag(default=True),
            "response_format": an_object(about="text, json_object or json_schema"),
            **{name: one_of(an_object(), string(), about="a JSON Schema of the answer") for name in GUIDES},
            "chat_template_kwargs": an_object(about="what the model's chat template may look at: enable_thinking, ..."),
            "continue_final_message": flag(
                "whether the answer goes on with a last message of the assistant", default=True
            ),
            "add_generation_prompt": flag("the opposite of continue_final_message, as vLLM has it"),
            "max_completion_tokens": whole(UNLIMITED, MAX_TOKENS, NO_LIMIT),
            "logprobs": flag(),
            "top_logprobs": whole(0, MAX_TOP_LOGPROBS, "needs logprobs"),
            "reasoning_effort": choice(*_EFFORTS),
            "modalities": listed(choice("text"), most=2),
            "metadata": an_object(about=f"at most {MAX_METADATA} pairs of strings; {_NO_EFFECT}"),
            "verbosity": choice(*_VERBOSITIES, about=_NO_EFFECT),
            "store": flag(_NO_EFFECT),
            "prediction": an_object(about=_NO_EFFECT),
            "service_tier": choice(*_TIERS, about=_NO_EFFECT),
            "prompt_cache_retention": choice(*_RETENTIONS, about=_NO_EFFECT),
            "prompt_cache_options": an_object(about=_NO_EFFECT),
            **{name: string(_NO_EFFECT, most=512) for name in _WITHOUT_EFFECT},
            **SAMPLING,
            **DELIVERY,
            **EXTENSIONS,
        },
        required=("messages", "model"),
    ),
    refused={**_UNSUPPORTED, "functions": "use tools", "function_call": "use tool_choice"},
    answer={JSON: an_object(about="a chat.completion"), EVENTS: an_object(about="chat.completion.chunk objects")},
)


async def decode(fields: Fields, references: References = NOTHING) -> tuple[ChatRequest, Delivery]:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    fields.known(OPERATION.fields)
    logprobs = fields.flag("logprobs")
    top_logprobs = fields.whole("top_logprobs", 0, MAX_TOP_LOGPROBS)
    if top_logprobs is not None and not logprobs:
        refuse("found top_logprobs without logprobs: true, expected both", "top_logprobs")
    sampling = read_sampling(fields, max_tokens=_max_tokens(fields), logprobs=logprobs, top_logprobs=top_logprobs or 0)
    delivery = read_delivery(fields, logprobs=logprobs)
    tools, tool_choice, named = read_tools(fields)
    _check_the_rest(fields)
    request = ChatRequest(
        model=read_model(fields),
        sampling=sampling,
        count=fields.whole("n", 1, MAX_CHOICES) or 1,
        tools=tools,
        tool_choice=tool_choice,
        named_tool=named,
        parallel_tool_calls=fields.flag("parallel_tool_calls", default=True),
        json=read_format(fields),
        template=read_template(fields),
        whole=not delivery.stream,
        continues=_continues(fields),
        reasoning_effort=fields.choice("reasoning_effort", _EFFORTS),
        messages=await read_messages(fields, references),
        **read_preferences(fields),
    )
    return request, delivery


def _max_tokens(fields: Fields) -> int | None:
    """Return the limit of the answer, of which there are two spellings."""
    has_new, new = read_limit(fields, "max_completion_tokens")
    has_old, old = read_limit(fields, "max_tokens")
    if has_new and has_old:
        refuse("found max_tokens and max_completion_tokens, expected one of them", "max_tokens")
    return new if has_new else old


def _continues(fields: Fields) -> bool:
    """Return whether the answer goes on with a last message of the assistant."""
    begins = fields.flag("add_generation_prompt")
    if begins and fields.flag("continue_final_message"):
        refuse("found continue_final_message and add_generation_prompt, expected one of them", "add_generation_prompt")
    return fields.flag("continue_final_message", default=not begins)


def _check_the_rest(fields: Fields) -> None:
    """Check what has no effect here."""
    for name, why in _UNSUPPORTED.items():
        if fields.has(name):
            refuse(f"found {name}, expected none: {why}", name, "unsupported_parameter")
    if fields.has("modalities"):
        for place, entry in fields.entries("modalities", 'a list such as ["text"]', most=2):
            if entry != "text":
                refuse(f"found {entry!r:.80}, expected text: answers are text", place, "unsupported_value")
    for name in _WITHOUT_EFFECT:
        fields.text(name, most=512)
    fields.flag("store")
    fields.choice("verbosity", _VERBOSITIES)
    fields.choice("service_tier", _TIERS)
    fields.choice("prompt_cache_retention", _RETENTIONS)
    fields.object("prompt_cache_options")
    prediction = fields.object("prediction")
    if prediction is not None and prediction.choice("type", ("content",)) is None:
        prediction.refuse("type", "content")
    read_metadata(fields)
