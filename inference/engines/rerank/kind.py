"""The task of reranking: how well documents answer a query."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.library.tasks import ExportDefaults, LoadRequest, ModelFiles, ShippedModel, TaskKind


def _recognise(files: ModelFiles) -> bool:
    return "openvino_model.xml" in files.names and "ForSequenceClassification" in files.architectures


def _load(request: LoadRequest) -> RerankModel:
    loaded = RerankModel(request.name, request.folder, request.devices, request.device)
    loaded.warm()
    return loaded


RERANK: Final = TaskKind(
    name="rerank",
    recognise=_recognise,
    load=_load,
    ships=(ShippedModel("rerank-pocket"),),
    export=ExportDefaults("text-classification", "int8"),
    facts=frozenset({"reranking"}),
    steps=frozenset({"rerank"}),
    roles=("rerank",),
)
