"""What a chat model's folder says of it, and its genai pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fastembed.inference.engines.chat.gguf_ir import exact_ir
from fastembed.inference.library.gguf import GgufTraits, find_gguf, read_gguf
from fastembed.inference.library.model_config import hears, picture_tokens, read_json, text_config
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import ModelNotFound

POCKET: Final = "chat-pocket"
"""The model that ships."""
BLOCK_TOKENS: Final = 32
_DEFAULT_WINDOW: Final = 4096
_CACHE_BYTES: Final = 2 * 1024**3
_CONTEXT_BYTES: Final = 4 * 1024**3
_ANSWERS_CACHED: Final = 64
_LEAST_TOKENS: Final = 2048
"""Less of a context, or of all answers' together, is no use."""
_NPU_PROMPT: Final = 1024
_NPU_ANSWER: Final = 512
_FILES: Final = ("openvino_model.xml", "openvino_tokenizer.xml", "openvino_detokenizer.xml")
_SEEING: Final = ("openvino_language_model.xml", "openvino_text_embeddings_model.xml", *_FILES[1:])
"""Beside them lies what makes numbers of pictures, under a name of the architecture's."""
_HEARD_FRAMES: Final = 400


@dataclass(frozen=True, slots=True)
class ChatTraits:
    """window: tokens of the context. size: bytes of the weights. token_bytes: cache that a token takes, at 16 bits.

    picture_tokens: what a picture takes of the context, by the folder's configuration; 0: the model does not see.
    heard_frames: mel frames, of 10 ms, that it hears in one window; 0: it does not hear.
    """

    window: int
    size: int
    token_bytes: int
    picture_tokens: int = 0
    heard_frames: int = 0

    @property
    def sees(self) -> bool:
        """Whether pictures can be shown to it."""
        return self.picture_tokens > 0

    @property
    def hears(self) -> bool:
        """Whether it takes sound as it is."""
        return self.heard_frames > 0


def read_traits(folder: Path) -> ChatTraits:
    """Read a folder's configuration, or its GGUF file's. ModelNotFound names what it lacks."""
    if (file := find_gguf(folder)) is not None:
        return _gguf_traits(file)
    sees = (folder / _SEEING[0]).is_file()
    missing = [name for name in (_SEEING if sees else _FILES) if not (folder / name).is_file()]
    if missing:
        raise ModelNotFound(f"found no {', '.join(missing)} in {folder}, expected a chat model as OpenVINO IR or GGUF")
    whole = read_json(folder / "config.json")
    config = text_config(whole)
    heads = config.get("num_attention_heads") or 1
    head_size = config.get("head_dim") or (config.get("hidden_size") or 0) // heads
    per_layer = 2 * (config.get("num_key_value_heads") or heads) * head_size * 2
    window = config.get("max_position_embeddings") or config.get("n_positions") or _DEFAULT_WINDOW
    size = sum(file.stat().st_size for file in folder.glob("*.bin"))
    token_bytes = max(1, per_layer * (config.get("num_hidden_layers") or 1))
    pictures = picture_tokens(whole, folder) if sees else 0
    return ChatTraits(int(window), size, token_bytes, pictures, _heard_frames(whole, folder))


def with_draft(traits: ChatTraits, draft: Path | None) -> ChatTraits:
    """Return the traits of a model beside which a draft model has as many cache blocks of its own."""
    return replace(traits, token_bytes=traits.token_bytes + read_traits(draft).token_bytes) if draft else traits


def cache_range(traits: ChatTraits) -> tuple[int, int]:
    """Return the bytes of cache that a model needs, and those that it can use.

    Those are for 64 full contexts within 2 GiB, or for one within 4 GiB, whichever is more.
    """
    context = traits.window * traits.token_bytes
    most = max(min(_ANSWERS_CACHED * context, _CACHE_BYTES), min(context, _CONTEXT_BYTES))
    return min(context, _LEAST_TOKENS * traits.token_bytes, most), most


def blocks(traits: ChatTraits, cache: int | None) -> int:
    """Return the cache blocks to reserve in so many bytes; None: as many as the model can use."""
    least, most = cache_range(traits)
    granted = most if cache is None else max(least, min(cache, most))
    return max(8, granted // (traits.token_bytes * BLOCK_TOKENS))


def fixed_lengths(properties: Mapping[str, Any], window: int | None) -> tuple[int, int]:
    """Return (longest prompt, answer) in tokens that a model is compiled for on an NPU."""
    window = window or _DEFAULT_WINDOW
    answer = int(properties.get("MIN_RESPONSE_LEN", min(_NPU_ANSWER, window // 4)))
    return int(properties.get("MAX_PROMPT_LEN", min(_NPU_PROMPT, window - answer))), answer


def open_batched(folder: Path, device: str, properties: Mapping[str, Any], kv_blocks: int) -> Any:
    """Load a ContinuousBatchingPipeline."""
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = kv_blocks
    scheduler.enable_prefix_caching = True
    with OPENING:
        return genai.ContinuousBatchingPipeline(model_path(folder), scheduler, device, dict(properties))


def open_hearing(folder: Path, device: str, properties: Mapping[str, Any], kv_blocks: int) -> Any:
    """Load a VLMPipeline: of genai's pipelines the only one that takes sound."""
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = kv_blocks
    scheduler.enable_prefix_caching = True
    with OPENING:
        return genai.VLMPipeline(str(folder), device, scheduler_config=scheduler, **properties)


def model_path(folder: Path) -> str:
    """Return what genai opens: the folder, or the exact copy of the GGUF file in it, else that file."""
    file = find_gguf(folder)
    return str(folder if file is None else exact_ir(file) or file)


def _gguf_traits(file: Path) -> ChatTraits:
    found = _header(file, file.stat().st_mtime_ns)
    size = sum(part.stat().st_size for part in file.parent.glob("*.gguf"))
    return ChatTraits(found.window, size, 2 * found.layers * found.kv_heads * found.head_size * 2)


@lru_cache(maxsize=64)
def _header(file: Path, _changed_ns: int) -> GgufTraits:
    """Read a header once: it holds all words of the model, and takes a second."""
    return read_gguf(file)


def _heard_frames(config: Mapping[str, Any], folder: Path) -> int:
    if not hears(config, {path.name for path in folder.iterdir()}):
        return 0
    audio = config.get("thinker_config", {}).get("audio_config", {})
    return int(audio.get("n_window_infer") or _HEARD_FRAMES)
