"""Which files of a repository are downloaded: what OpenVINO reads, never what runs or is unpickled."""

import pytest

from fastembed.inference.library.hub.listing import Listing, RemoteFile, UnusableRepository, needed


def listing(*paths, repository="acme/mine"):
    return Listing(repository, "c" * 40, tuple(RemoteFile(path, 10, blob="b") for path in paths))


def targets(*paths, include=()):
    return {file.path: file.target for file in needed(listing(*paths), include)}


def test_graphs_come_with_their_weights_and_a_pickle_of_the_same_suffix_stays():
    found = targets("openvino_model.xml", "openvino_model.bin", "pytorch_model.bin", "training_args.bin", "model.pt")
    assert found.keys() == {"openvino_model.xml", "openvino_model.bin"}


def test_tokenizers_configurations_templates_and_licences_come_along():
    beside = (
        "tokenizer.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "chat_template.jinja",
        "LICENSE",
        "README.md",
    )
    assert targets("openvino_model.xml", *beside).keys() == {"openvino_model.xml", *beside}


@pytest.mark.parametrize(
    "path",
    [
        "modeling.py",
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
        "trainer_state.json",
        "requirements.txt",
        ".gitattributes",
        "onnx/config.json",
        "onnx/model.onnx",
        "runs/events.out",
        "model.pkl",
        "data.npz",
    ],
)
def test_what_belongs_to_others_stays(path):
    assert path not in targets("openvino_model.xml", path)


def test_pooling_of_sentence_transformers_keeps_its_folder():
    assert targets("openvino_model.xml", "1_Pooling/config.json")["1_Pooling/config.json"] == "1_Pooling/config.json"


def test_graphs_in_the_openvino_folder_move_to_where_engines_look_and_variants_stay():
    found = targets(
        "config.json",
        "model.safetensors",
        "openvino/openvino_model.xml",
        "openvino/openvino_model.bin",
        "openvino/openvino_model_qint8_quantized.xml",
        "openvino/openvino_model_qint8_quantized.bin",
    )
    assert found == {
        "config.json": "config.json",
        "openvino/openvino_model.xml": "openvino_model.xml",
        "openvino/openvino_model.bin": "openvino_model.bin",
    }


def test_one_gguf_needs_no_choice_and_its_parts_are_one():
    parts = ("m-Q8-00001-of-00002.gguf", "m-Q8-00002-of-00002.gguf")
    assert targets(*parts).keys() == set(parts)


def test_several_ggufs_have_to_be_chosen_from():
    names = ("m-Q4_K_M.gguf", "m-Q8_0.gguf")
    with pytest.raises(
        UnusableRepository, match=r"found 2 GGUF models in acme/mine, expected one: m-Q4_K_M\.gguf, m-Q8"
    ):
        targets(*names)
    assert targets(*names, include=["*Q4_K_M*"]).keys() == {"m-Q4_K_M.gguf"}
    with pytest.raises(UnusableRepository, match=r"found no OpenVINO IR or GGUF in acme/mine that matches \*Q5\*"):
        targets(*names, include=["*Q5*"])


@pytest.mark.parametrize(
    "path", ["../up.json", "/etc/x.json", "a/../../x.json", "C:\\x.json", "c:x.json", "a\n.json", ""]
)
def test_names_that_lead_out_of_the_folder_are_left_out(path):
    assert targets("openvino_model.xml", path).keys() == {"openvino_model.xml"}


def test_graphs_that_lead_out_of_the_folder_are_left_out():
    with pytest.raises(UnusableRepository, match=r"found 1 files, no weights in acme/mine, expected OpenVINO IR"):
        targets("../../openvino_model.xml")


def test_weights_of_others_are_named_with_the_command_that_converts_them():
    with pytest.raises(
        UnusableRepository, match=r"found model\.safetensors in acme/mine, .*: fastembed convert acme/mine"
    ):
        targets("model.safetensors", "config.json")
