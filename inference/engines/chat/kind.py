"""The tasks of chat and of code: generated text. Requests are the same; models for code serve chats too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastembed.inference.engines.chat.adapters import read_adapter
from fastembed.inference.engines.chat.folder import cache_range, fixed_lengths, model_path, read_traits, with_draft
from fastembed.inference.engines.chat.model import ChatModel
from fastembed.inference.engines.chat.options import ChatOptions
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.folders import is_pocket
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.library.tasks import (
    ExportDefaults,
    LoadRequest,
    ModelFiles,
    PartFinder,
    ShippedModel,
    TaskKind,
)

_SMALL_BYTES: Final = 1 << 30
_SEEING: Final = frozenset({"openvino_vision_embeddings_model.xml", "openvino_language_model.xml"})


def _recognise(files: ModelFiles) -> bool:
    if files.names & _SEEING or any(name.endswith(".gguf") for name in files.names):
        return True
    return "openvino_model.xml" in files.names and "ForCausalLM" in files.architectures


def _load(request: LoadRequest) -> ChatModel:
    compiled = Path(model_path(request.folder))  # of a GGUF file the copy, which is made now
    properties = request.devices.generation_properties(request.device, compiled, *request.options.parts)
    if traits_of(request.device).host and _has_near_ties(request.folder):
        properties = {"INFERENCE_PRECISION_HINT": "f32"} | properties
    return ChatModel(
        request.name,
        request.folder,
        device=request.device,
        properties=properties,
        cache=request.extra,
        options=request.options,
    )


def _has_near_ties(folder: Path) -> bool:
    """Whether bfloat16, the default of newer processors, would change what a model says.

    Measured with SmolLM2-135M, greedy, 24 tokens: 4 of 8 answers differ from float32's, one from "Paris" to nonsense,
    and float32 takes no longer. Larger models are surer of their words; those that ship were trained for either.
    """
    return not is_pocket(folder) and read_traits(folder).size < _SMALL_BYTES


def _options(spec: ModelSpec, parts: PartFinder) -> ChatOptions:
    adapters = tuple(read_adapter(parts.path(path), strength) for path, strength in spec.lora.items())
    draft = parts.model_folder(spec.draft, "chat", "draft model") if spec.draft else None
    return ChatOptions(adapters, draft, spec.prompt_lookup)


def _extra_memory(request: LoadRequest) -> tuple[int, int]:
    """Return the bytes of contexts; where shapes are fixed they are part of the compiled model."""
    if traits_of(request.device).fixed_shapes:
        return 0, 0
    return cache_range(with_draft(read_traits(request.folder), request.options.draft))


def _processes(model: ChatModel) -> list[int]:
    return [model.process.pid]


def _growth(model: ChatModel) -> int:
    return model.process.cache_bytes


def _longest_prompt(properties: Mapping[str, Any], window: int | None) -> int:
    return fixed_lengths(properties, window)[0]


CHAT: Final = TaskKind(
    name="chat",
    recognise=_recognise,
    load=_load,
    options=_options,
    extra_memory=_extra_memory,
    processes=_processes,
    growth=_growth,
    ships=(ShippedModel("chat-pocket"), ShippedModel("vision-pocket")),
    export=ExportDefaults("text-generation-with-past", "int4"),
    also=frozenset({"code"}),
    choice="best",
    longest_prompt=_longest_prompt,
    facts=frozenset({"text_generation", "streaming"}),
    steps=frozenset({"generate", "converse", "describe", "extract"}),
    roles=("text", "vision", "code"),
)
CODE: Final = TaskKind(
    name="code",
    load=_load,
    options=_options,
    extra_memory=_extra_memory,
    processes=_processes,
    growth=_growth,
    ships=(ShippedModel("code-pocket"),),
    export=ExportDefaults("text-generation-with-past", "int4"),
    abilities=frozenset({"code"}),
    longest_prompt=_longest_prompt,
    facts=frozenset({"text_generation", "streaming"}),
    roles=("text", "code"),
)
