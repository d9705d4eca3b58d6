"""Writes the folder that OpenVINO GenAI reads, from what transformers saved: OpenVINO graphs with int8 weights."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

LEFT_OUT = ("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")  # tokenizer.json says it all
AS_SAVED = ("generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
"""What the exporter writes anew, and shorter, by the classes that it takes these files for."""


def write_folder(saved: Path, out: Path, task: str, **options: Any) -> None:
    """Export `saved` for one of optimum's tasks; a README in `out` stays."""
    import nncf
    import openvino
    from optimum.exporters.openvino import main_export

    nncf.set_log_level(logging.ERROR)
    with tempfile.TemporaryDirectory() as made:
        whole = Path(made)
        main_export(str(saved), output=made, task=task, library_name="transformers", convert_tokenizer=True, **options)
        out.mkdir(parents=True, exist_ok=True)
        core = openvino.Core()
        for file in sorted(whole.iterdir()):
            if file.is_dir() or file.name in LEFT_OUT:
                continue
            if file.name in AS_SAVED:
                shutil.copyfile(saved / file.name, out / file.name)
            elif "tokenizer" in file.name or file.suffix not in (".xml", ".bin"):
                shutil.copyfile(file, out / file.name)
            elif file.suffix == ".xml":
                graph = nncf.compress_weights(core.read_model(file), mode=nncf.CompressWeightsMode.INT8_ASYM)
                openvino.save_model(graph, out / file.name, compress_to_fp16=True)
