"""What an encoder's folder says of it."""

import json

from fastembed.inference.engines.encoder.folder import read_traits


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_the_window_is_what_the_model_was_trained_for(tmp_path):
    write(tmp_path, config={"max_position_embeddings": 512}, sentence_bert_config={"max_seq_length": 256})
    assert read_traits(tmp_path).window == 256


def test_the_window_without_more_is_the_number_of_positions(tmp_path):
    write(tmp_path, config={"max_position_embeddings": 512})
    assert read_traits(tmp_path).window == 512


def test_roberta_loses_the_positions_before_its_padding_id(tmp_path):
    write(tmp_path, config={"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1})
    assert read_traits(tmp_path).window == 512


def test_rows_are_filled_up_with_the_padding_id(tmp_path):
    assert read_traits(tmp_path).padding_id == 0
    write(tmp_path, config={"pad_token_id": 3})
    assert read_traits(tmp_path).padding_id == 3
    write(tmp_path, config={"model_type": "xlm-roberta"})
    assert read_traits(tmp_path).padding_id == 1
