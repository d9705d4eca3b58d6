"""The task of embedding: texts to vectors."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.embedding.model import EmbeddingModel
from fastembed.inference.engines.embedding.prompts import EmbeddingOptions, prompts_of
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.library.tasks import (
    ExportDefaults,
    LoadRequest,
    ModelFiles,
    PartFinder,
    ShippedModel,
    TaskKind,
)


def _recognise(files: ModelFiles) -> bool:
    encodes = "modules.json" in files.names or files.architectures.endswith("Model")
    return "openvino_model.xml" in files.names and encodes


def _load(request: LoadRequest) -> EmbeddingModel:
    options = request.options if isinstance(request.options, EmbeddingOptions) else EmbeddingOptions()
    loaded = EmbeddingModel(request.name, request.folder, request.devices, request.device, prompts=options.prompts)
    loaded.warm()
    return loaded


def _options(spec: ModelSpec, parts: PartFinder) -> EmbeddingOptions:
    del parts
    return EmbeddingOptions(prompts_of(spec.prompts) if spec.prompts is not None else None)


EMBEDDING: Final = TaskKind(
    name="embedding",
    recognise=_recognise,
    load=_load,
    options=_options,
    ships=(ShippedModel("all-MiniLM-L6-v2", "minilm", ("sentence-transformers/all-MiniLM-L6-v2",), stand_in=False),),
    # sentence-transformers keeps the pooling that the vectors were trained with
    export=ExportDefaults("feature-extraction", "int8", library="sentence_transformers"),
    choice="only",
    facts=frozenset({"embeddings"}),
    steps=frozenset({"embed", "classify"}),
    prepares=frozenset({"analyze"}),
    roles=("embeddings",),
)
