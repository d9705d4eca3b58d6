"""What a folder says of its model, and how much cache is reserved."""

import json
from dataclasses import replace

import pytest

from fastembed.inference.engines.chat.folder import ChatTraits, blocks, cache_range, read_traits, with_draft
from fastembed.pipeline.errors import ModelNotFound

FILES = ("openvino_model.xml", "openvino_tokenizer.xml", "openvino_detokenizer.xml")


def folder(tmp_path, config, without=()):
    for name in FILES:
        if name not in without:
            (tmp_path / name).write_text("")
    (tmp_path / "openvino_model.bin").write_bytes(b"1234")
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_configuration_tells_window_and_cache(tmp_path):
    config = {
        "max_position_embeddings": 4096,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "hidden_size": 512,
    }
    assert read_traits(folder(tmp_path, config)) == ChatTraits(4096, 4, 2 * 2 * 2 * 64 * 2)
    assert read_traits(folder(tmp_path, {"text_config": config})).window == 4096


def test_a_configuration_that_says_nothing_gets_a_modest_window(tmp_path):
    assert read_traits(folder(tmp_path, {})).window == 4096


EAR = "openvino_audio_encoder_model.xml"


@pytest.mark.parametrize(
    ("kind", "files", "frames"),
    [
        ("qwen3_omni_moe", {EAR}, 800),
        ("qwen3_omni_moe", set(), 0),
        ("gemma3n", {EAR}, 0),
        ("gemma4", {EAR}, 0),
    ],
)
def test_only_what_genai_gives_sound_to_hears(tmp_path, kind, files, frames):
    for name in files:
        (tmp_path / name).write_text("")
    thinker = {"text_config": {"max_position_embeddings": 32768}, "audio_config": {"n_window_infer": 800}}
    traits = read_traits(folder(tmp_path, {"model_type": kind, "thinker_config": thinker}))
    assert (traits.heard_frames, traits.hears, traits.window) == (frames, frames > 0, 32768)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelNotFound, match=r"found no openvino_tokenizer.xml in .*, expected a chat model"):
        read_traits(folder(tmp_path, {}, without=("openvino_tokenizer.xml",)))


def test_a_long_context_may_take_more_than_many_short_ones():
    long = ChatTraits(window=32_768, size=10**6, token_bytes=2**17)
    assert cache_range(long) == (2048 * 2**17, 4 * 2**30)
    assert cache_range(replace(long, window=20_480)) == (2048 * 2**17, 20_480 * 2**17)
    assert cache_range(replace(long, window=8_192)) == (2048 * 2**17, 2 * 2**30)
    assert cache_range(replace(long, window=8_192, token_bytes=64)) == (2048 * 64, 64 * 8_192 * 64)


def test_a_draft_model_has_as_many_blocks_of_its_own(tmp_path):
    small = ChatTraits(window=1024, size=10**6, token_bytes=2048)
    draft = folder(tmp_path, {"num_attention_heads": 2, "hidden_size": 128, "num_hidden_layers": 2})
    both = with_draft(small, draft)
    assert both.token_bytes == 2048 + 2 * 2 * 2 * 64 * 2
    assert blocks(both, 100 * 32 * both.token_bytes) == 100
    assert with_draft(small, None) == small


def test_the_cache_holds_64_contexts_where_memory_allows():
    small = ChatTraits(window=1024, size=10**6, token_bytes=2048)
    assert blocks(small, None) == 64 * 32
    assert blocks(small, 100 * 32 * 2048) == 100
    assert blocks(small, 0) == 1024 // 32  # one context at least
