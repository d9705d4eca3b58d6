"""A GGUF file as OpenVINO IR with exact weights, written once and kept beside this project's other caches.

OpenVINO GenAI builds a graph from the file at every load, which takes 5 to 36 seconds, and rounds the offsets of some
kinds of blocks (`gguf_offsets.py`). The copy loads in about two seconds and says what the file says. It is made in a
process of its own, whose memory is free again at its end, and again when the file or OpenVINO changed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import filelock

from fastembed.inference.engines.chat.gguf_offsets import OFFSET_KINDS, Unmatched, offset_tensors, put_offsets
from fastembed.inference.engines.chat.whole_texts import read_whole_texts
from fastembed.inference.library.gguf import ir_folder, parts_of, read_gguf
from fastembed.pipeline.processes.framing import ask, pickled, portable, receive
from fastembed.pipeline.processes.starter import ChildProcess

log = logging.getLogger("fastembed.models")

_RECORD: Final = "source.json"
_FORM: Final = 2
"""Counts up when what is written changes."""


def exact_ir(file: Path) -> Path | None:
    """Return the folder of the file's copy, which is written first where it is missing: seconds to minutes.

    None: it cannot be written (the log says why), so that OpenVINO GenAI has to read the GGUF file itself.
    """
    folder, source = ir_folder(file), _source(file)
    if _is_of(folder, source):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):
            if not _is_of(folder, source):
                _write(file, folder, source)
    except (OSError, EOFError, RuntimeError) as error:
        log.warning(
            "%s is read as OpenVINO GenAI does, slowly and inexactly: no copy of it can be made: %s", file, error
        )
        return None
    return folder


def _write(file: Path, folder: Path, source: dict[str, Any]) -> None:
    log.warning("making an OpenVINO copy of %s in %s, once", file.name, folder)
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    child = ChildProcess(__name__)
    try:
        exact = ask(child.pipe, (file, fresh))
        if isinstance(exact, Exception):
            raise exact
    finally:
        child.end()
    (fresh / _RECORD).write_text(json.dumps(source), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    if exact:
        kinds = ", ".join(sorted(OFFSET_KINDS))
        log.warning(
            "%s: the offsets of %d tensors (%s), which OpenVINO GenAI rounds, are exact now", file.name, exact, kinds
        )


def main(pipe: socket.socket, _argument: object) -> None:
    """Convert the file that comes over the pipe; answer with the number of repaired tensors, or the error."""
    with contextlib.suppress(EOFError, OSError):
        file, folder = receive(pipe)
        answer: object
        try:
            answer = convert(file, folder)
        except Exception as error:  # noqa: BLE001 - the process's boundary: the caller raises it
            answer = portable(error, "conversion")
        pipe.sendall(pickled(answer))
    os._exit(0)  # nothing here is worth the time and the risk of taking native engines down in order


def convert(file: Path, folder: Path) -> int:
    """Write the IR of a GGUF file and its tokenizers into an empty folder; return how many tensors were repaired.

    RuntimeError: OpenVINO GenAI cannot read it. Unmatched, as RuntimeError: its graph is of an unknown form.
    """
    import openvino
    import openvino_genai as genai
    from gguf import GGUFReader

    work = folder / "work"  # GenAI writes beside the file that it reads
    work.mkdir()
    links = [work / part.name for part in parts_of(file)]
    for link, part in zip(links, parts_of(file), strict=True):
        link.symlink_to(part.absolute())
    genai.LLMPipeline(str(work / file.name), "CPU", enable_save_ov_model=True)
    exact = 0
    tensors = offset_tensors(GGUFReader(part) for part in parts_of(file))
    if tensors:
        traits = read_gguf(file)
        heads = {"attn_q.weight": traits.heads, "attn_k.weight": traits.kv_heads}
        model = openvino.Core().read_model(work / "openvino_model.xml")
        try:
            exact = put_offsets(model, tensors, heads)
        except Unmatched as error:
            raise RuntimeError(f"the offsets of {file.name} cannot be made exact: {error}") from error
        openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    for path in work.glob("openvino_*"):
        if not (folder / path.name).exists():
            path.replace(folder / path.name)
    shutil.rmtree(work)
    read_whole_texts(folder)
    return exact


def _source(file: Path) -> dict[str, Any]:
    """Return what a copy depends on: the file's parts, and who reads them."""
    stats = [(part.name, part.stat()) for part in parts_of(file)]
    return {
        "form": _FORM,
        "openvino_genai": version("openvino-genai"),
        "parts": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
    }


def _is_of(folder: Path, source: dict[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / _RECORD).read_text(encoding="utf-8")) == source)
    except (OSError, ValueError):
        return False
