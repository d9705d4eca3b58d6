"""What is in a repository, and which of it OpenVINO needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from fastembed.pipeline.errors import FastEmbedError

_SIDE_BY_SIDE: Final = frozenset({".json", ".txt", ".jinja", ".model"})
"""Configurations, vocabularies, chat templates, sentencepiece models."""
_TEXTS: Final = re.compile(r"(README\.md|(LICEN[CS]E|NOTICE|COPYING)[\w.-]*)", re.IGNORECASE)
_OF_OTHERS: Final = re.compile(r".*\.(safetensors|bin|h5|msgpack)\.index\.json|trainer_state\.json|requirements.*\.txt")
_MODULE: Final = re.compile(r"\d+_[A-Za-z]+")  # sentence-transformers keeps pooling in `1_Pooling/config.json`
_PART: Final = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)")  # one GGUF in several files
_PLAIN: Final = re.compile(r"openvino_(model|(de)?tokenizer)\.(xml|bin)")
_SUBFOLDER: Final = "openvino/"  # where sentence-transformers' repositories keep the IR
_ONNX: Final = ("model.onnx", "onnx/model.onnx")  # where sentence-transformers' repositories keep it
_SHOWN: Final = 12


class UnusableRepository(FastEmbedError):
    """A repository without what OpenVINO reads, or with too much of it to choose; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository: its path there, bytes, and the checksum of its content.

    sha256: of large files. blob: git's SHA-1 of the others. target: its path in the model's folder.
    """

    path: str
    size: int
    sha256: str | None = None
    blob: str | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]


def needed(listing: Listing, include: Sequence[str] = ()) -> tuple[RemoteFile, ...]:
    """Return the files to download: IR, GGUF or ONNX, tokenizers, configurations, licence. Never a pickle, never code.

    include: patterns that choose among GGUFs, or among the IR variants of a repository.
    UnusableRepository: there is nothing that OpenVINO reads, or several GGUFs and no pattern.
    """
    files = [file for file in listing.files if _is_inside(file.path)]
    weights = _graphs(files, include) or _ggufs(listing.repository, files, include) or _onnx(files, include)
    if not weights:
        raise UnusableRepository(_nothing(listing, include))
    beside = [replace(file, target=file.path) for file in files if _belongs(file.path)]
    taken = {file.target for file in weights}
    return (*weights, *(file for file in beside if file.target not in taken))


def _graphs(files: Sequence[RemoteFile], include: Sequence[str]) -> list[RemoteFile]:
    """Return the IR: every .xml with its .bin. A .bin alone is PyTorch's, and that is a pickle."""
    names = {file.path for file in files}
    graphs = [file for file in files if file.path in names and _is_graph(file.path, names)]
    if include:
        graphs = [file for file in graphs if _matches(file.path, include)]
    top = [replace(file, target=file.path) for file in graphs if "/" not in file.path]
    if top or not graphs:
        return top
    within = [file for file in graphs if file.path.startswith(_SUBFOLDER)]
    if not include:
        within = [file for file in within if _PLAIN.fullmatch(file.path.removeprefix(_SUBFOLDER))]
    return [replace(file, target=PurePosixPath(file.path).name) for file in within]


def _is_graph(path: str, names: set[str]) -> bool:
    stem, _, suffix = path.rpartition(".")
    return suffix == "xml" or (suffix == "bin" and f"{stem}.xml" in names)


def _ggufs(repository: str, files: Sequence[RemoteFile], include: Sequence[str]) -> list[RemoteFile]:
    found = [file for file in files if file.path.lower().endswith(".gguf")]
    chosen = [file for file in found if not include or _matches(file.path, include)]
    models = sorted({_PART.sub("", file.path) for file in chosen})
    if len(models) > 1:
        names = ", ".join(models[:_SHOWN]) + (", ..." if len(models) > _SHOWN else "")
        raise UnusableRepository(
            f"found {len(models)} GGUF models in {repository}, expected one: {names}; "
            f"choose with fastembed pull {repository} --include {PurePosixPath(models[0]).name}"
        )
    return [replace(file, target=PurePosixPath(file.path).name) for file in chosen]


def _onnx(files: Sequence[RemoteFile], include: Sequence[str]) -> list[RemoteFile]:
    """Return the plain ONNX file, with the weights that may lie beside it. Its variants are for other runtimes."""
    found = next((file for name in _ONNX for file in files if file.path == name and not include), None)
    if found is None:
        return []
    parts = [file for file in files if file.path in (found.path, f"{found.path}_data")]
    return [replace(file, target=PurePosixPath(file.path).name) for file in parts]


def _matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern fits the path or the name, or the name before the part of a split GGUF."""
    name = PurePosixPath(path).name
    forms = (path, name, _PART.sub("", name))
    return any(fnmatchcase(form, pattern) for pattern in patterns for form in forms)


def _belongs(path: str) -> bool:
    """Whether a file beside the weights is of use."""
    pure = PurePosixPath(path)
    if len(pure.parts) > 1 and not (len(pure.parts) == 2 and _MODULE.fullmatch(pure.parts[0])):  # noqa: PLR2004 - one folder deep
        return False
    if _OF_OTHERS.fullmatch(pure.name) or pure.name.startswith("."):
        return False
    return pure.suffix in _SIDE_BY_SIDE or _TEXTS.fullmatch(pure.name) is not None


def _is_inside(path: str) -> bool:
    """Whether a name from the hub stays in the folder that it is written to."""
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and "\\" not in path and ":" not in path and path.isprintable()


def _nothing(listing: Listing, include: Sequence[str]) -> str:
    if include:
        wanted = " ".join(include)
        return f"found no OpenVINO IR or GGUF in {listing.repository} that matches {wanted}, expected at least one"
    weights = [file.path for file in listing.files if re.search(r"\.(safetensors|bin|pt|pth|h5|onnx)$", file.path)]
    found = ", ".join(weights[:3]) or f"{len(listing.files)} files, no weights"
    return (
        f"found {found} in {listing.repository}, expected OpenVINO IR (.xml and .bin) or GGUF; "
        f"to convert it: fastembed convert {listing.repository}"
    )
