"""Converting original weights to OpenVINO's format, with optimum-intel where it is installed.

That needs torch and transformers, which this project never installs: the command runs in an environment of its own.
INT4 is symmetric and channel-wise (group size -1), the form that NPUs run
(https://docs.openvino.ai/2025/openvino-workflow-generative/inference-with-genai/inference-with-genai-on-npu.html).
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

from fastembed.inference.library.folders import models_home
from fastembed.inference.library.hub.gathering import RECORD, partial_of
from fastembed.inference.library.hub.known import KnownModel
from fastembed.inference.library.hub.reference import Reference
from fastembed.inference.library.tasks import TASKS, ExportDefaults
from fastembed.pipeline.errors import FastEmbedError

Weights = Literal["int4", "int8", "fp16"]
PROGRAM: Final = "optimum-cli"
_SENTENCES: Final = "sentence_transformers"
_INT4: Final = ("--weight-format", "int4", "--sym", "--ratio", "1.0", "--group-size", "-1")
_WITH_IMAGES: Final = "image-text-to-text"
_UNKNOWN: Final = ExportDefaults("", "int4")


class ExportFailed(FastEmbedError):
    """optimum-cli is not here, ended with an error, or made nothing that OpenVINO reads."""


@dataclass(frozen=True, slots=True)
class Export:
    """One conversion. folder: where the result belongs. options: what optimum-cli is told besides."""

    source: Reference
    folder: Path
    options: tuple[str, ...]

    def command(self, folder: Path | None = None) -> list[str]:
        """Return the command line that writes into `folder`, by default where the result belongs."""
        where = str(folder or self.folder)
        return [PROGRAM, "export", "openvino", "--model", self.source.repository, *self.options, where]

    @property
    def install(self) -> str:
        """What installs the program and what it needs for this model."""
        more = " sentence-transformers" if _SENTENCES in self.options else ""
        return f'pip install "optimum-intel[openvino]"{more}'


def export_of(
    known: KnownModel | None, source: Reference, *, task: str | None = None, weights: Weights | None = None
) -> Export:
    """Say how to convert a model. task: optimum's name for it, by default the known model's, else it finds out.

    weights: by default INT4 for chat models and those unknown, INT8 or FP16 for smaller ones.
    ExportFailed: a revision, which the program does not take.
    """
    if source.revision:
        raise ExportFailed(f"found {source}, expected {source.repository}: {PROGRAM} converts the newest commit only")
    defaults = _defaults(known, task)
    if known and not task:
        task = _WITH_IMAGES if "vision" in known.good_at else defaults.task
    options = ["--task", task] if task else []
    if defaults.library:
        options += ["--library", defaults.library]
    chosen = weights or defaults.weights
    options += _INT4 if chosen == "int4" else ("--weight-format", chosen)
    return Export(source, models_home() / (known.name if known else str(source)), tuple(options))


def _defaults(known: KnownModel | None, task: str | None) -> ExportDefaults:
    """Return those of the task that optimum calls so where a library of its own reads it, else of the model's task."""
    with_library = (kind.export for kind in TASKS.all if kind.export and kind.export.library)
    asked = next((export for export in with_library if export.task == task), None)
    return asked or (TASKS.of(known.task).export if known else None) or _UNKNOWN


def run(export: Export) -> Path:
    """Convert, and give the folder its name when all is done. ExportFailed."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise ExportFailed(
            f"found no {PROGRAM} on the path, expected one: {export.install} in an environment of its own"
        )
    partial = partial_of(export.folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run([program, *export.command(partial)[1:]], check=False)  # noqa: S603 - found on the path, no shell
    if ended.returncode:
        raise ExportFailed(
            f"{PROGRAM} ended with status {ended.returncode}, expected 0; what it wrote stays in {partial}"
        )
    if not partial.is_dir() or not any(partial.glob("*.xml")):
        raise ExportFailed(f"found no .xml file in {partial}, expected the OpenVINO files that {PROGRAM} writes")
    record = {"repository": export.source.repository, "export": export.command()}
    (partial / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    partial.replace(export.folder)
    return export.folder
