"""Which model a pipeline's vectors are from: two models under one name are not the same."""

from __future__ import annotations

from pathlib import Path

from fastembed.inference.engines.embedding.prompts import EmbeddingOptions, Prompts, read_prompts
from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.fingerprint import fingerprint
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.payload.embedding import VectorOrigin


def revision_of(folder: Path, prompts: Prompts) -> str:
    """Return what tells the vectors of this folder's model from another's: its files, and what goes before a text."""
    return fingerprint(folder, prompts.document)


def vector_origin(catalog: Catalog, name: str) -> VectorOrigin:
    """Return what a name, an alias or "auto" stands for now. ModelNotFound: its files are not here. Blocks briefly."""
    model = catalog.place(name, "embedding")
    options = catalog.options(model)
    if model.folder is None:
        raise ModelNotFound(f"found no files of {model.name}, expected a model folder", param="model")
    declared = options.prompts if isinstance(options, EmbeddingOptions) else None
    return VectorOrigin(model.name, revision_of(model.folder, declared or read_prompts(model.folder)))
