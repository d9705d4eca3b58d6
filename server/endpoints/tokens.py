"""POST /tokenize and /detokenize, as vLLM and llama.cpp have them: text to token ids of a model, and back.

The text is `prompt` (vLLM) or `content` (llama.cpp), or `messages` with what belongs to a chat request, as the model's
template writes them. The answer has the fields of both servers. With `inputs`, as Text Embeddings Inference has it, the
answer is that server's: a bare list of lists of tokens.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.specs import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.tokenization import ModelTokens, Tokenizers
from fastembed.pipeline.payload.chat import ChatRequest
from fastembed.server.endpoints import chat
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.fetching.references import References
from fastembed.server.wire.fields import Fields, kind, read_fields, refuse
from fastembed.server.wire.operation import JSON, Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object, flag, listed, one_of, string, whole
from fastembed.sources.http import MAX_BODY_BYTES

MAX_CHARACTERS: Final = 4 * 2**20
MAX_INPUTS: Final = 512
MAX_IDS: Final = 2**20
_TEXTS: Final = ("prompt", "content")
_SPECIALS: Final = ("add_special_tokens", "add_special")
_MODEL: Final = string("a name from /v1/models; auto, the default, is the first chat model")
_TOKENIZE: Final = Operation(
    "POST",
    "/tokenize",
    "Text, or a conversation, to the token ids of a model",
    body=an_object(
        {
            "model": _MODEL,
            **{name: string("the text", most=MAX_CHARACTERS) for name in _TEXTS},
            "messages": listed(an_object(), "a conversation, with the other fields of a chat request"),
            "inputs": one_of(string(), listed(string(), most=MAX_INPUTS), about="texts, for an answer as TEI's"),
            **{name: flag("with what the tokenizer puts around every text") for name in _SPECIALS},
        }
    ),
    answer={JSON: one_of(an_object(), listed(listed(an_object()), "with inputs: the tokens of each"))},
)
_DETOKENIZE: Final = Operation(
    "POST",
    "/detokenize",
    "Token ids of a model to text",
    body=an_object(
        {"model": _MODEL, "tokens": listed(whole(0, 2**31 - 1), most=MAX_IDS)},
        required=("tokens",),
    ),
)
OPERATIONS: Final = (_TOKENIZE, _DETOKENIZE)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""
    tokenizers = Tokenizers(site.resources.get(Models).catalog)

    async def tokenize(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
        if fields.has("inputs"):
            return json_answer(await _as_tei(fields, tokenizers))
        text = await _text(fields, References(files=site.files, owner=request.scope["owner"]))
        special = _special(fields)
        model = await tokenizers.of(fields.text("model") or AUTO)
        ids = await model.encode(text, special=special)
        return json_answer({"count": len(ids), "max_model_len": model.window, "tokens": ids, "model": model.model})

    async def detokenize(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
        fields.known(_DETOKENIZE.fields)
        ids = _ids(fields)
        model = await tokenizers.of(fields.text("model") or AUTO)
        text = await model.decode(ids)
        return json_answer({"prompt": text, "content": text, "model": model.model})

    return [_TOKENIZE.route(tokenize), _DETOKENIZE.route(detokenize)]


async def _text(fields: Fields, references: References) -> str | ChatRequest:
    """Return what is to be tokenised."""
    if fields.has("messages"):
        request, _ = await chat.decode(fields.with_default("model", AUTO), references)
        return request
    fields.known(_TOKENIZE.fields)
    found = [name for name in _TEXTS if fields.has(name)]
    if len(found) != 1:
        refuse(f"found {' and '.join(found) or 'no text'}, expected one of prompt, content or messages", "prompt")
    return fields.text(found[0], most=MAX_CHARACTERS) or ""


async def _as_tei(fields: Fields, tokenizers: Tokenizers) -> list[list[dict[str, Any]]]:
    """Return the tokens of the field `inputs`, text by text. Where they stand in the text is not known: null."""
    fields.known(_TOKENIZE.fields)
    found = fields.raw("inputs")
    texts = [("inputs", found)] if isinstance(found, str) else fields.entries("inputs", "texts", most=MAX_INPUTS)
    if not all(type(text) is str for _, text in texts) or sum(len(text) for _, text in texts) > MAX_CHARACTERS:
        fields.refuse("inputs", f"text or a list of texts, of {MAX_CHARACTERS:,} characters at most", "invalid_type")
    model = await tokenizers.of(fields.text("model") or AUTO)
    special = fields.flag("add_special_tokens", default=True)
    return [await _tokens(model, text, special=special) for _, text in texts]


async def _tokens(model: ModelTokens, text: str, *, special: bool) -> list[dict[str, Any]]:
    bare = await model.encode(text, special=False)
    ids = await model.encode(text, special=True) if special else bare
    before = next((at for at in range(len(ids) - len(bare) + 1) if ids[at : at + len(bare)] == bare), 0)
    inside = range(before, before + len(bare))
    return [
        {"id": id_, "text": piece, "special": at not in inside, "start": None, "stop": None}
        for at, (id_, piece) in enumerate(zip(ids, await model.pieces(ids), strict=True))
    ]


def _special(fields: Fields) -> bool:
    """Return whether special tokens are wanted: by default in vLLM, not by default in llama.cpp."""
    if fields.has("add_special"):
        return fields.flag("add_special")
    return fields.flag("add_special_tokens", default=not fields.has("content"))


def _ids(fields: Fields) -> list[int]:
    found = fields.raw("tokens")
    if type(found) is not list:
        fields.refuse("tokens", "a list of token ids", "invalid_type")
    if len(found) > MAX_IDS:
        refuse(f"found {len(found)} token ids, expected at most {MAX_IDS}", "tokens", "array_above_max_length")
    for place, entry in enumerate(found):
        if type(entry) is not int or entry < 0:
            shown = entry if type(entry) is int else kind(entry)
            refuse(f"found {shown} at tokens[{place}], expected a token id", "tokens", "invalid_type")
    return found
