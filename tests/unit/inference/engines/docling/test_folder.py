import json
import shutil
from pathlib import Path

import pytest

from fastembed.inference.engines.docling.folder import ImageSettings, read_traits
from fastembed.inference.library.tasks import TASKS
from fastembed.pipeline.errors import ModelNotFound

POCKET = Path(__file__).parents[5] / "models" / "docling-pocket"


def test_the_files_say_how_pictures_are_cut_up():
    traits = read_traits(POCKET)
    assert traits.images == ImageSettings(
        tile=128, longest=128, patch=16, side=8, tokens=64, mean=(1.0, 1.0, 1.0), std=(0.4, 0.4, 0.4)
    )
    assert traits.window == 1024
    assert traits.page_bytes == 1024 * 3 * 2 * 2 * 32 * 2  # layers, keys and values, heads, numbers of 2 bytes


def test_the_task_is_recognised_from_the_files():
    assert TASKS.recognise(POCKET) == "document"


def test_files_that_are_missing_are_named(tmp_path):
    shutil.copy(POCKET / "config.json", tmp_path)
    with pytest.raises(ModelNotFound, match=r"found no preprocessor_config.json, openvino_vision_embeddings_model.xml"):
        read_traits(tmp_path)


def test_another_architecture_is_refused(tmp_path):
    for file in POCKET.iterdir():
        shutil.copy(file, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "gemma3"}))
    with pytest.raises(ModelNotFound, match=r"found a model of type 'gemma3' in .*, expected idefics3"):
        read_traits(tmp_path)


def test_a_configuration_that_says_too_little_is_refused(tmp_path):
    for file in POCKET.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(
        ModelNotFound, match=r"found no 'max_image_size' in the configuration in .*, expected an Idefics3"
    ):
        read_traits(tmp_path)
