"""The embed and analyze operators with the shipped model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.embedding.tokens import Analyzed, Tokens
from fastembed.inference.library.shipped import DEFAULT_EMBEDDING
from fastembed.inference.serving.models import Models
from fastembed.operators.analyze import Analyze
from fastembed.operators.embed import Embed
from fastembed.operators.embedding.advice import LanguageAdvice
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.health import Health
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.pipeline.payload.embedding import EmbeddingRequest, Embeddings
from fastembed.pipeline.spec import describe

FILE = File(Path("/inbox/a.md"), "a.md", "0" * 64, 3, 0)
DOCUMENT = Document(FILE, "A", "# A", "{}", (), 1, "md")


@pytest.fixture
async def context(tmp_path):
    models = Models(base=tmp_path)
    yield Context("embeddings", "embed", "hash", tmp_path, Resources(models))
    await models.close()


@pytest.fixture
async def embed(context):
    operator = Embed()
    await operator.open(context)
    return operator


@pytest.fixture
async def analyze(context):
    operator = Analyze()
    await operator.open(context)
    return operator


def request(*inputs, **options):
    return Item(EmbeddingRequest(list(inputs), **options))


def test_the_operators_are_what_the_kernel_takes_them_for():
    assert describe(Embed, "embed").kind is OperatorKind.ASYNC_MAP
    assert describe(Embed, "embed").wants_item
    assert describe(Analyze, "analyze").kind is OperatorKind.MAP
    assert Embed.workers == 256


async def test_a_request_becomes_unit_vectors_in_its_order(embed):
    answer = await embed(request("a cat", "a kitten", "quarterly tax report"))
    assert answer.model == DEFAULT_EMBEDDING
    assert answer.vectors.shape == (3, 384)
    assert answer.vectors.dtype == np.float32
    assert list(answer.token_counts) == [4, 4, 5]
    assert np.linalg.norm(answer.vectors, axis=1) == pytest.approx([1.0] * 3, abs=1e-5)
    cat, kitten, tax = answer.vectors
    assert cat @ kitten > 0.6
    assert cat @ tax < 0.3


async def test_a_text_is_a_request_of_one(embed):
    answer = await embed(Item("hello"))
    assert isinstance(answer, Embeddings)
    assert answer.vectors.shape == (1, 384)


async def test_token_ids_give_the_vector_of_their_text(embed):
    answer = await embed(request("hello world", [7592, 2088], [101, 7592, 2088, 102]))
    assert answer.vectors[1] == pytest.approx(answer.vectors[0], abs=0.02)
    assert list(answer.token_counts) == [4, 4, 4]


async def test_fewer_dimensions_are_cut_and_scaled_to_length_one(embed):
    whole = (await embed(request("hello"))).vectors[0]
    part = (await embed(request("hello", dimensions=64))).vectors[0]
    assert part == pytest.approx(whole[:64] / np.linalg.norm(whole[:64]), abs=1e-5)
    raw = (await embed(request("hello", dimensions=64, normalize=False))).vectors[0]
    assert raw == pytest.approx(whole[:64], abs=1e-5)


async def test_more_dimensions_than_the_model_has_are_refused(embed):
    with pytest.raises(InvalidInput, match="found 385 dimensions, expected 1 to 384") as refused:
        await embed(request("hello", dimensions=385))
    assert refused.value.param == "dimensions"


async def test_a_text_over_the_window_is_refused_with_its_place_and_size(embed):
    with pytest.raises(InvalidInput, match=r"found 302 tokens in input\[1\], expected at most 256") as refused:
        await embed(request("short", "word " * 300))
    assert (refused.value.param, refused.value.code) == ("input", "context_length_exceeded")


async def test_a_text_of_exactly_the_window_is_served(embed):
    assert (await embed(request("word " * 254))).token_counts == [256]


async def test_token_ids_out_of_the_vocabulary_are_refused(embed):
    with pytest.raises(InvalidInput, match=r"found token id 30522 in input\[0\], expected whole numbers of 0 to 30521"):
        await embed(request([30522]))


async def test_an_unknown_model_is_not_found(embed):
    with pytest.raises(ModelNotFound, match="found 'gpt-4', a model of a service"):
        await embed(request("hello", model="gpt-4"))


async def test_a_model_may_be_named_by_its_alias(embed):
    answer = await embed(request("hello", model="sentence-transformers/all-MiniLM-L6-v2"))
    assert answer.model == DEFAULT_EMBEDDING


async def test_a_chunk_gets_its_vector_and_the_models_name(embed):
    chunk = Chunk(DOCUMENT, 0, 1, "Cats sleep most of the day.", headings=("Animals", "Cats"))
    done = await embed(Item(chunk))
    alone = await embed(Item(chunk.embedding_text))
    assert replace(chunk, model=DEFAULT_EMBEDDING).text == done.text
    assert done.model == DEFAULT_EMBEDDING
    assert done.embedding == pytest.approx(alone.vectors[0], abs=0.02)
    assert done.embedding.shape == (384,)


async def test_a_chunk_over_the_window_is_cut_counted_and_logged(embed, caplog):
    done = await embed(Item(Chunk(DOCUMENT, 2, 5, "word " * 300)))
    assert done.embedding.shape == (384,)
    assert embed.truncated == 1
    assert "a.md, chunk 3 of 5: found 302 tokens, expected at most 256" in caplog.text


async def test_a_document_passes_untouched(embed):
    assert await embed(Item(DOCUMENT)) is DOCUMENT


async def test_analyze_tokenises_short_inputs_once(analyze, embed):
    measured = analyze(EmbeddingRequest(["hello world", [7592]]))
    assert isinstance(measured.inputs, Analyzed)
    assert measured.inputs.exact
    assert measured.inputs.estimated_tokens == 7
    assert all(isinstance(tokens, Tokens) for tokens in measured.inputs)
    answer = await embed(Item(measured))
    assert list(answer.token_counts) == [4, 3]


async def test_analyze_estimates_long_inputs_and_embed_tokenises_them(analyze, embed):
    measured = analyze(EmbeddingRequest(["some words " * 20] * 20))
    assert not measured.inputs.exact
    assert measured.inputs.estimated_tokens == 20 * 55
    assert list((await embed(Item(measured))).token_counts) == [42] * 20


@pytest.mark.parametrize("inputs", [[], [""], ["a"] * 2049, [[]], [[-1]], [3.5], ["word " * 300]])
async def test_analyze_refuses_what_embed_would_refuse(analyze, inputs):
    with pytest.raises(InvalidInput) as refused:
        analyze(EmbeddingRequest(inputs))
    assert refused.value.param == "input"


async def test_analyze_refuses_an_unknown_model(analyze):
    with pytest.raises(ModelNotFound):
        analyze(EmbeddingRequest(["a"], model="nobody"))


GERMAN = (
    "Die Sitzung des Ausschusses findet am Dienstag statt. Auf der Tagesordnung steht der neue Haushalt für die "
    "Bibliothek, über den der Rat noch nicht entschieden hat. Alle werden gebeten, sich bis zum Montag anzumelden."
)


def written(text: str) -> Item:
    return Item(replace(DOCUMENT, markdown=text))


async def test_documents_in_another_language_are_told_of_once_with_what_helps(embed, context, caplog):
    for text in ("The first page is in English, and so is the next one. " * 5, GERMAN, GERMAN):
        assert (await embed(written(text))).markdown == text
    told = [record.message for record in caplog.records if "trained on English" in record.message]
    assert Health.of(context.resources).advice() == told
    assert len(told) == 1
    assert told[0].startswith("pipeline embeddings: a.md is in German, and all-MiniLM-L6-v2 was trained on English")
    assert "fastembed pull multilingual-e5-small" in told[0]
    assert "{from: multilingual-e5-small}" in told[0]
    assert Health.of(context.resources).lines() == []


async def test_the_two_lines_of_the_advice_make_another_model_auto(context, tmp_path, monkeypatch):
    folder = tmp_path / "models" / "multilingual-e5-small"
    folder.mkdir(parents=True)
    for name in ("openvino_model.xml", "modules.json"):
        (folder / name).write_text("[]")
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    models = Models.from_sections({"models": {"multilingual-e5-small": {"from": "multilingual-e5-small"}}}, tmp_path)
    assert models.catalog.place("auto", "embedding").name == "multilingual-e5-small"
    LanguageAdvice(context, "multilingual-e5-small").look_at(written(GERMAN).value)
    assert Health.of(context.resources).advice() == []
