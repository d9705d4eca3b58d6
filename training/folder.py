"""Writes the folder that OpenVINO GenAI reads, from what transformers saved: OpenVINO graphs with int8 weights.

And reads a chat model's tokenizer and weights out of such a folder again, for a model that goes on with them.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from transformers import PreTrainedTokenizerFast

LEFT_OUT = ("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")  # tokenizer.json says it all
AS_SAVED = ("generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
"""Files that the exporter would write anew, shortened, from the classes that it infers."""
WRITES_NO_TEXT = ("text-classification",)
"""Tasks without a detokenizer."""


def read_tokenizer(folder: Path, window: int) -> PreTrainedTokenizerFast:
    """Return a chat model's tokenizer, which marks turns as ChatML does, with the chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=window,
        clean_up_tokenization_spaces=False,
        chat_template=(folder / "chat_template.jinja").read_text(),
    )


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a Llama's int8 graph as transformers names them, as floats."""
    graph = openvino.Core().read_model(folder / "openvino_model.xml")
    nodes = {node.get_friendly_name(): node for node in graph.get_ops()}
    found: dict[str, np.ndarray] = {}
    for name, node in nodes.items():
        if node.get_type_name() == "Constant" and name.startswith("self.") and name.endswith(".weight"):
            steps, zero = (nodes[f"{name}/{part}"].data.astype(np.float32) for part in ("scale", "zero_point"))
            found[name.removeprefix("self.")] = (node.data.astype(np.float32) - zero) * steps
        if node.get_type_name() == "Multiply":
            found |= _norm(node)
    found["lm_head.weight"] = found["model.embed_tokens.weight"]
    return {name: torch.from_numpy(np.array(values)) for name, values in found.items()}


def _norm(multiply: openvino.Node) -> dict[str, np.ndarray]:
    """Return a normalisation's weight, a constant [1, 1, width] that the graph names by number only."""
    for place in range(2):
        constant = multiply.input(place).get_source_output().get_node()
        if constant.get_type_name() == "Constant" and list(constant.shape)[:2] == [1, 1] and constant.shape[-1] > 1:
            layer = multiply.get_friendly_name().removeprefix("__module.").split("/")[0]
            return {f"{layer}.weight": constant.data.reshape(-1).astype(np.float32)}
    return {}


def write_folder(saved: Path, out: Path, task: str, **options: Any) -> None:
    """Export `saved` for one of optimum's tasks; a README in `out` stays."""
    import nncf
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
            if task in WRITES_NO_TEXT and "detokenizer" in file.name:
                continue
            if file.name in AS_SAVED:
                shutil.copyfile(saved / file.name, out / file.name)
            elif "tokenizer" in file.name or file.suffix not in (".xml", ".bin"):
                shutil.copyfile(file, out / file.name)
            elif file.suffix == ".xml":
                graph = nncf.compress_weights(core.read_model(file), mode=nncf.CompressWeightsMode.INT8_ASYM)
                openvino.save_model(graph, out / file.name, compress_to_fp16=True)
