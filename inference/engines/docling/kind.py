"""The task of reading documents: pictures of pages to DocTags."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.docling.folder import read_traits
from fastembed.inference.engines.docling.model import PAGES_AT_ONCE, DoclingModel
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.tasks import ExportDefaults, LoadRequest, ModelFiles, ShippedModel, TaskKind

_ARCHITECTURES: Final = frozenset({"idefics3"})  # granite-docling's and SmolDocling's
_THREADS: Final = 2


def _recognise(files: ModelFiles) -> bool:
    return files.config.get("model_type") in _ARCHITECTURES


def _load(request: LoadRequest) -> DoclingModel:
    threads = {"INFERENCE_NUM_THREADS": _THREADS} if traits_of(request.device).host else {}
    pages = PAGES_AT_ONCE if request.extra is None else request.extra // read_traits(request.folder).page_bytes
    return DoclingModel(
        request.name,
        request.folder,
        device=request.device,
        properties=threads | request.devices.generation_properties(request.device, request.folder),
        pages=max(1, min(PAGES_AT_ONCE, pages)),
    )


def _extra_memory(request: LoadRequest) -> tuple[int, int]:
    page = read_traits(request.folder).page_bytes
    return page, PAGES_AT_ONCE * page


def _processes(model: DoclingModel) -> list[int]:
    return [model.pid] if model.pid is not None else []


def _growth(model: DoclingModel) -> int:
    return model.pages * read_traits(model.folder).page_bytes


DOCUMENT: Final = TaskKind(
    name="document",
    recognise=_recognise,
    load=_load,
    extra_memory=_extra_memory,
    processes=_processes,
    growth=_growth,
    ships=(ShippedModel("docling-pocket"),),
    # INT4 by channel costs models below 1 G parameters too much
    export=ExportDefaults("image-text-to-text", "int8"),
    abilities=frozenset({"document"}),
    without_model="read by rules; a document model reads where the request or `parse` names it",
    facts=frozenset({"vision"}),
    steps=frozenset({"parse"}),
    prepares=frozenset({"read"}),
    roles=("documents",),
)
