"""What a model can do and needs: by its declaration, by what is known of its name, and by its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fastembed.inference.library.folders import BUILT_IN
from fastembed.inference.library.hub.hardware import HARDWARE
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.library.model_config import hears, picture_tokens, text_config
from fastembed.inference.library.parameters import count_parameters
from fastembed.inference.library.tasks import ABILITIES, TASKS, Ability, Task

BILLION: Final = 1e9
_CODERS: Final = re.compile(r"(?<![a-z])coder|codellama|codegemma|codestral|starcoder|(^|[-_/])code([-_]|$)")
_BYTES: Final = ((re.compile("int4|q4"), 0.6), (re.compile("fp16|f16"), 2.0), (re.compile("fp32|f32"), 4.0))
"""What a parameter takes, by what is said in the name of the files; else 1 (INT8)."""
_TEMPLATE_BYTES: Final = 4_000_000
_SHIPPED: Final = "Apache-2.0"
"""The licence of what ships."""
_OTHERS: Final = {f"{BUILT_IN}whisper-base": "MIT"}
"""That of what is not this project's own."""


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """What a model can do and needs. size: billions of parameters, declared or counted in the files; 0: unknown.

    least, optimal: bytes of memory that it is known to need, or at least the bytes of its weights. window: tokens, as
    the files or the publisher say. picture_tokens: what a picture takes of it. npu: whether an NPU takes it.
    None: unknown.
    """

    good_at: frozenset[Ability] = frozenset()
    size: float = 0.0
    window: int | None = None
    picture_tokens: int | None = None
    least: int | None = None
    optimal: int | None = None
    npu: bool | None = None
    licence: str | None = None


def capabilities_of(
    name: str, origin: str, task: Task | None, folder: Path | None, declared: Iterable[Ability] | None = None
) -> ModelCapabilities:
    """Describe a model. declared: what `good_at:` says, which then is what holds; only, no word makes a model hear."""
    known = find_known(origin) or find_known(name)
    hardware = HARDWARE.get(known.name) if known else None
    traits = _traits(folder, _changed(folder)) if folder else _NOTHING
    good_at = set(traits.good_at)
    if known:
        good_at |= {ability for ability in ABILITIES if ability in known.good_at}
    if _CODERS.search(f"{name}/{Path(origin).name}".casefold()):
        good_at.add("code")
    if task is not None:
        good_at |= TASKS.of(task).abilities
    if declared is not None:
        good_at = set(declared)
    if folder and "audio" not in traits.good_at:
        good_at.discard("audio")  # it would be given sound that its engine refuses
    a_parameter = next((size for said, size in _BYTES if said.search(origin.casefold())), 1.0)
    return ModelCapabilities(
        good_at=frozenset(good_at),
        size=hardware.parameters if hardware else _billions(traits.parameters or traits.weights / a_parameter),
        window=traits.window or (known.window if known else None),
        picture_tokens=traits.picture_tokens,
        least=hardware.least if hardware else traits.weights or None,
        optimal=hardware.optimal if hardware else None,
        npu=hardware.npu if hardware else None,
        licence=known.licence if known else _OTHERS.get(origin, _SHIPPED if origin.startswith(BUILT_IN) else None),
    )


@dataclass(frozen=True, slots=True)
class _Traits:
    good_at: frozenset[Ability]
    weights: int
    window: int | None
    picture_tokens: int | None = None
    parameters: int = 0


_NOTHING: Final = _Traits(frozenset(), 0, None)


def _billions(count: float) -> float:
    return round(count / BILLION, 6)


def _changed(folder: Path) -> int:
    return folder.stat().st_mtime_ns


@lru_cache(maxsize=256)
def _traits(folder: Path, _changed_ns: int) -> _Traits:
    """Read a folder; once, until something is added to it."""
    files = {path.name: path for path in folder.iterdir() if path.is_file()}
    good_at: set[Ability] = set()
    config = _json(files.get("config.json"))
    pictures = None
    if "openvino_vision_embeddings_model.xml" in files:
        good_at.add("vision")
        pictures = picture_tokens(config, folder)
    if "tools" in _template(files.get("chat_template.jinja"), files.get("tokenizer_config.json")):
        good_at.add("tools")
    weights = sum(path.stat().st_size for path in files.values() if path.suffix in (".bin", ".gguf"))
    if hears(config, files):
        good_at.add("audio")
    text = text_config(config)
    said = [text.get("max_position_embeddings"), text.get("n_positions")] if isinstance(text, dict) else []
    said.append(_json(files.get("sentence_bert_config.json")).get("max_seq_length"))
    windows = [window for window in said if isinstance(window, int) and window > 0]
    return _Traits(frozenset(good_at), weights, min(windows, default=None), pictures, count_parameters(folder))


def _template(jinja: Path | None, tokenizer: Path | None) -> str:
    """Return a chat template's text; "" where the folder has none."""
    if jinja is not None:
        return jinja.read_text(encoding="utf-8", errors="replace")
    found = _json(tokenizer).get("chat_template") if tokenizer else None
    return found if isinstance(found, str) else json.dumps(found or "")


def _json(file: Path | None) -> dict[str, Any]:
    if file is None or file.stat().st_size > _TEMPLATE_BYTES:
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
