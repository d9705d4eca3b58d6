"""Pages read by the document model that ships: through its engine, and through `parse`. It reads like a demo."""

import json
import random
import shutil
from pathlib import Path

import pytest
import pytest_asyncio

from fastembed.inference.engines.docling.engine import DoclingEngine
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.serving.models import Models
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import TooLarge
from fastembed.pipeline.payload.document import DocumentRequest, File
from tests.integration import documents
from training.docling_pages import Block, compose, doctags, draw

POCKET = Path(__file__).parents[2] / "models" / "docling-pocket"
REPORT = [
    Block("section_header_level_1", (("garden", "summary"),), 1),
    Block("otsl", (("year", "price"), ("first", "68")), 4),
]
NOTE = [Block("section_header_level_1", (("small", "garden"),), 2)]
WORDS = [Block("text", (("solar", "power", "sales"), ("large", "profit")), 1)]
PROMPT_TOKENS = 81
REPORT_MARKDOWN = """\
## garden summary

| year | price |
| --- | --- |
| first | 68 |
"""


def file_of(path):
    return File(path, path.name, "0" * 64, path.stat().st_size, 0)


def pdf(path, *pages):
    first, *rest = [draw(page)[0] for page in pages]
    first.save(path, save_all=True, append_images=rest, resolution=72, quality=95)
    return file_of(path)


def cramped(folder, *, room):
    """Copy the model, with a context that leaves so many tokens for a page's answer."""
    shutil.copytree(POCKET, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = PROMPT_TOKENS + room
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def engine():
    return DoclingEngine(POCKET)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parse(tmp_path_factory):
    cramped_folder = cramped(tmp_path_factory.mktemp("models") / "cramped", room=16)
    broken = shutil.copytree(POCKET, tmp_path_factory.mktemp("models") / "broken")
    (broken / "openvino_language_model.bin").write_bytes(b"")
    folders = {"cramped": cramped_folder, "broken": broken}
    declared = {name: ModelSpec.model_validate({"from": str(folder)}) for name, folder in folders.items()}
    made = Parse(model="docling-pocket", ocr="never")
    models = Models(declared)
    await made.open(Context("papers", "parse", "d", Path(), resources=Resources(models)))
    yield made
    await made.close()
    await models.close()


def test_a_page_becomes_doctags(engine):
    [written] = engine.read([draw(REPORT)[0]])
    assert written.text == doctags(REPORT)
    assert written.ending == "end"


def test_pages_that_are_read_together_are_read_as_each_alone(engine):
    rng = random.Random(5)
    images = [draw(compose(rng), rng)[0] for _ in range(4)]
    together = engine.read(images)
    assert together == [engine.read([image])[0] for image in images]
    assert len({written.token_count for written in together}) > 1


def test_no_page_is_no_work(engine):
    assert engine.read([]) == []


def test_an_answer_ends_at_its_limit():
    [written] = DoclingEngine(POCKET, max_tokens=7).read([draw(REPORT)[0]])
    assert (written.token_count, written.ending) == (7, "length")


def test_a_page_that_does_not_fit_the_context_is_refused(tmp_path):
    engine = DoclingEngine(cramped(tmp_path / "model", room=0))
    with pytest.raises(TooLarge, match=f"found a page of {PROMPT_TOKENS} tokens, expected fewer than the context"):
        engine.read([draw(NOTE)[0]])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pdf_becomes_markdown_and_blocks(parse, tmp_path):
    document = await parse(pdf(tmp_path / "report.pdf", REPORT, WORDS))
    assert document.markdown == f"{REPORT_MARKDOWN}\nsolar power sales large profit\n"
    assert [(block.kind, block.page) for block in document.blocks] == [
        ("heading", 1),
        ("table", 1),
        ("paragraph", 2),
    ]
    assert (document.parser, document.model, document.unread) == ("pdf+docling-pocket", "docling-pocket", ())
    assert (document.title, document.page_count) == ("garden summary", 2)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_picture_becomes_a_document_and_html(parse, tmp_path):
    draw(REPORT)[0].save(tmp_path / "report.png")
    document = await parse(DocumentRequest(file_of(tmp_path / "report.png"), html=True))
    assert document.markdown == REPORT_MARKDOWN
    assert document.parser == "png+docling-pocket"
    assert "<td>first</td><td>68</td>" in document.html


@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_that_the_model_fails_on_is_read_without_it_and_the_document_says_so(parse, tmp_path):
    file = pdf(tmp_path / "mixed.pdf", NOTE, REPORT)
    document = await parse(DocumentRequest(file, model="cramped"))
    assert document.markdown == "## small garden\n"  # the second page is a picture, and OCR is off
    assert (document.parser, document.model, document.unread) == ("pdf+cramped", "cramped", (2,))
    assert document.warnings == ("page 2: read without cramped: its output had no end after 16 tokens",)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_document_is_read_without_a_model_that_does_not_load(parse, tmp_path):
    file = file_of(documents.make_pdf(tmp_path / "text.pdf"))
    document = await parse(DocumentRequest(file, model="broken"))
    assert "Nothing was lost in the second quarter." in document.markdown
    assert (document.parser, document.model) == ("pdf", None)
    assert document.warnings[0].startswith("read without broken, which failed: ")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_blank_page_stays_blank(parse, tmp_path):
    document = await parse(pdf(tmp_path / "blank.pdf", []))
    assert (document.markdown, document.page_count, document.unread) == ("", 1, ())


@pytest.mark.asyncio(loop_scope="module")
async def test_formats_without_pages_are_read_by_rules(parse, tmp_path):
    (tmp_path / "note.md").write_text("# Note\n\nSome words.\n")
    document = await parse(file_of(tmp_path / "note.md"))
    assert (document.parser, document.model) == ("md", None)
