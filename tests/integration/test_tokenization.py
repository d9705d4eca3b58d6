"""Texts to token ids of the models that ship, and back, without a model in memory."""

from pathlib import Path

import pytest

from fastembed.inference.library.catalog import Catalog
from fastembed.inference.serving.tokenization import Tokenizers
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from tests.conversation import asked

TEXT = "hello w\u00f6rld, <|im_end|> \U0001f600"


@pytest.fixture
def tokenizers(tmp_path: Path) -> Tokenizers:
    return Tokenizers(Catalog(base=tmp_path))


@pytest.mark.parametrize("name", ["auto", "chat-pocket", "vision-pocket", "code-pocket"])
async def test_a_chat_models_ids_are_the_text_again(tokenizers, name):
    model = await tokenizers.of(name)
    ids = await model.encode(TEXT, special=False)
    assert await model.decode(ids) == TEXT
    assert model.window == 1024
    assert await model.encode("", special=False) == []
    assert await model.decode([]) == ""


async def test_an_embedding_models_ids_have_the_marks_around_them(tokenizers):
    model = await tokenizers.of("all-MiniLM-L6-v2")
    assert await model.encode("hello world", special=True) == [101, 7592, 2088, 102]
    assert await model.encode("hello world", special=False) == [7592, 2088]
    assert await model.decode([101, 7592, 2088, 102]) == "[CLS] hello world [SEP]"


async def test_a_conversation_is_counted_as_the_model_sees_it(tokenizers):
    model = await tokenizers.of("chat-pocket")
    ids = await model.encode(asked("hi"), special=True)
    assert await model.decode(ids) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


async def test_what_cannot_be_is_told(tokenizers):
    chat, encoder = await tokenizers.of("chat-pocket"), await tokenizers.of("all-MiniLM-L6-v2")
    with pytest.raises(InvalidInput, match="found the token id 768, expected whole numbers of 0 to 767"):
        await chat.decode([1, 768])
    with pytest.raises(InvalidInput, match="has no conversations"):
        await encoder.encode(asked("hi"), special=True)
    with pytest.raises(ModelNotFound):
        await tokenizers.of("nobody")


async def test_more_than_are_kept_can_be_asked_for(tokenizers):
    for name in ("chat-pocket", "vision-pocket", "code-pocket", "rerank-pocket", "all-MiniLM-L6-v2", "chat-pocket"):
        assert await (await tokenizers.of(name)).encode("a", special=False)
