import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed.operators.chunk import chunk
from fastembed.operators.chunking.tokens import MARKS, wordpieces
from fastembed.pipeline.component import OperatorKind
from fastembed.pipeline.payload.document import Block, Chunk, Document, File
from fastembed.pipeline.spec import describe

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "


def document(*blocks):
    file = File(Path("/inbox/a.md"), "a.md", "0" * 64, 10, 0)
    return Document(file, "A", "", "{}", tuple(blocks), 0, "md")


def chunks(*blocks, tokens=400, overlap=0):
    first, *rest = chunk(document(*blocks), tokens=tokens, overlap=overlap)
    assert isinstance(first, Document)
    return rest


def heading(text, level=1, page=None):
    return Block("heading", text, page, level)


def paragraph(text, page=None):
    return Block("paragraph", text, page)


def test_the_document_comes_first_even_without_text():
    assert [type(out) for out in chunk(document())] == [Document]


def test_it_is_an_expanding_operator_with_two_options():
    spec = describe(chunk, "chunk")
    assert spec.kind is OperatorKind.EXPAND
    assert spec.in_type is Document
    assert set(spec.options) == {"tokens", "overlap"}
    assert spec.in_thread


def test_a_chunk_knows_its_place_headings_pages_and_tokens():
    made = chunks(
        Block("title", "Handbook", 1),
        heading("Safety", page=1),
        paragraph(SENTENCE * 3, page=1),
        paragraph(SENTENCE * 3, page=2),
    )
    assert len(made) == 1
    assert made[0].headings == ("Handbook", "Safety")
    assert made[0].pages == (1, 2)
    assert (made[0].index, made[0].count) == (0, 1)
    assert made[0].token_count == wordpieces()([made[0].embedding_text])[0] + MARKS


def test_large_sections_are_not_mixed():
    made = chunks(heading("One"), paragraph(SENTENCE * 12), heading("Two"), paragraph(SENTENCE * 12))
    assert [c.headings for c in made] == [("One",), ("Two",)]


def test_small_sections_under_one_heading_are_united_and_show_their_headings():
    made = chunks(
        heading("Setup"), heading("Linux", 2), paragraph("Run make."), heading("Mac", 2), paragraph("Run make, too.")
    )
    assert [c.headings for c in made] == [("Setup",)]
    assert made[0].text == "Linux\n\nRun make.\n\nMac\n\nRun make, too."


def test_a_heading_with_nothing_below_is_not_lost():
    made = chunks(heading("One"), paragraph(SENTENCE * 12), heading("Two"), heading("Three"), paragraph(SENTENCE * 12))
    assert "Two" in "\n".join(c.embedding_text for c in made)


def test_a_lone_heading_is_the_text_of_its_chunk():
    made = chunks(heading("Only"))
    assert [(c.text, c.headings) for c in made] == [("Only", ())]


def test_a_heading_of_several_sections_is_found_in_each_of_their_chunks():
    made = chunks(Block("title", "T"), heading("A"), heading("B", 2), paragraph(SENTENCE * 90))
    assert len(made) > 2
    assert {c.headings for c in made} == {("T", "A", "B")}


def test_prose_is_cut_after_sentences_and_overlaps_by_whole_sentences():
    text = " ".join(f"Sentence number {n} ends here." for n in range(60))
    made = chunks(paragraph(text), tokens=100, overlap=20)
    assert len(made) > 2
    for before, after in itertools.pairwise(made):
        assert before.text.endswith("ends here.")
        assert after.text.startswith("Sentence number")
        repeated = after.text.split(". ")[0]
        assert repeated in before.text


def test_repeated_sentences_run_on_in_their_paragraph_but_not_into_code():
    code = "```\n" + "\n".join(f"x{n} = {n}" for n in range(40)) + "\n```"
    made = chunks(paragraph(SENTENCE * 6), Block("code", code), tokens=110, overlap=20)
    assert f"{SENTENCE.strip()}\n\n```\nx0 = 0" in made[1].text
    made = chunks(paragraph(SENTENCE * 20), tokens=110, overlap=20)
    assert made[1].text.startswith(SENTENCE * 2)


def test_abbreviations_and_numbers_end_no_sentence():
    text = "As Fig. 3 by Dr. Smith shows, e.g. in Sect. 2, it costs 3.50 today. " * 20
    made = chunks(paragraph(text.strip()), tokens=64)
    assert all(c.text.endswith("today.") for c in made)


def test_a_table_is_cut_by_rows_and_repeats_caption_and_header():
    rows = "\n".join(f"| north {n} | {n * 17} |" for n in range(80))
    made = chunks(
        Block("caption", "Table 1: Sales"), Block("table", f"| Region | Units |\n| --- | --- |\n{rows}"), tokens=120
    )
    assert len(made) > 3
    for piece in made:
        lines = piece.text.split("\n")
        assert lines[:3] == ["Table 1: Sales", "| Region | Units |", "| --- | --- |"]
        assert all(re.fullmatch(r"\| north \d+ \| \d+ \|", line) for line in lines[3:])
    assert sum(piece.text.count("north") for piece in made) == 80


def test_a_header_larger_than_the_chunk_is_cut_like_its_rows():
    header = "| " + " | ".join(f"column {n}" for n in range(80)) + " |"
    row = "| " + " | ".join(str(n) for n in range(80)) + " |"
    made = chunks(Block("table", f"{header}\n|{' --- |' * 80}\n{row}"), tokens=100)
    assert all(c.token_count <= 100 for c in made)
    assert "column 79" in " ".join(c.text for c in made)


def test_code_is_cut_by_lines_and_stays_fenced():
    code = "\n".join(f"    value_{n} = compute({n})" for n in range(60))
    made = chunks(Block("code", f"```python\n{code}\n```"), tokens=120)
    assert len(made) > 2
    assert all(c.text.startswith("```python\n    value_") and c.text.endswith(")\n```") for c in made)


def test_a_heading_never_ends_a_chunk():
    blocks = [heading("Top")]
    for n in range(6):
        blocks += [heading(f"Part {n}", 2), paragraph(SENTENCE * 2)]
    made = chunks(*blocks, tokens=100)
    assert not any(re.search(r"Part \d$", c.text) for c in made)


def test_a_path_too_long_for_the_chunk_gives_its_outer_headings_to_the_text():
    made = chunks(heading("very " * 60 + "long"), heading("Short", 2), paragraph(SENTENCE * 3), tokens=100)
    assert all(c.headings == ("Short",) for c in made)
    assert all(c.token_count <= 100 for c in made)
    assert "very very" in made[0].text


def test_a_run_without_spaces_is_cut_only_if_it_is_no_word():
    address = "https://example.com/" + "a/" * 100
    made = chunks(paragraph(f"See {address} there."), tokens=64)
    assert any(address in c.text for c in made)
    assert max(c.token_count for c in made) > 64
    blob = chunks(paragraph("ab+/" * 5000), tokens=400)
    assert max(len(c.text) for c in blob) <= 1000


def test_chinese_is_cut_between_characters_and_after_sentences():
    made = chunks(paragraph("这是一个很长的句子。" * 100), tokens=64)
    assert all(c.text.endswith("。") and c.token_count <= 64 for c in made)


def test_list_items_stand_close():
    made = chunks(
        paragraph("You need:"), Block("list_item", "- salt"), Block("list_item", "  - sea salt"), paragraph("Done.")
    )
    assert made[0].text == "You need:\n\n- salt\n  - sea salt\n\nDone."


@st.composite
def documents(draw):
    """Blocks whose words are all different, so that order and coverage can be checked."""
    kinds = draw(
        st.lists(
            st.sampled_from(["title", "heading", "paragraph", "list_item", "caption", "table", "code"]), max_size=14
        )
    )
    blocks, n = [], 0

    def unique(count):
        nonlocal n
        n += count
        return [f"w{k}" for k in range(n - count, n)]

    for kind in kinds:
        if kind in ("title", "heading"):
            blocks.append(
                Block(
                    kind,
                    " ".join(unique(draw(st.integers(1, 12)))),
                    None,
                    draw(st.integers(1, 4)) if kind == "heading" else 0,
                )
            )
        elif kind == "table":
            columns = draw(st.integers(1, 4))
            rows = [f"| {' | '.join(unique(columns))} |" for _ in range(draw(st.integers(1, 40)))]
            blocks.append(Block(kind, "\n".join([rows[0], "|" + " --- |" * columns, *rows[1:]])))
        elif kind == "code":
            lines = [" ".join(unique(draw(st.integers(1, 9)))) for _ in range(draw(st.integers(1, 30)))]
            blocks.append(Block(kind, "```\n" + "\n".join(lines) + "\n```"))
        else:
            words = unique(draw(st.integers(1, 150)))
            ends = draw(st.lists(st.sampled_from([" ", ". ", "! ", "\n"]), min_size=len(words), max_size=len(words)))
            text = "".join(word.capitalize() + end for word, end in zip(words, ends, strict=True)).strip()
            blocks.append(Block(kind, text))
    return blocks, n


@settings(max_examples=150, deadline=None)
@given(documents(), st.integers(48, 400), st.integers(0, 60))
def test_every_word_is_there_in_order_and_within_the_budget(made, tokens, overlap):
    blocks, count = made
    pieces = chunks(*blocks, tokens=tokens, overlap=overlap)
    assert all(isinstance(piece, Chunk) and piece.text.strip() for piece in pieces)
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    assert all(piece.count == len(pieces) for piece in pieces)
    assert all(piece.token_count <= tokens for piece in pieces)
    assert all(piece.token_count == wordpieces()([piece.embedding_text])[0] + MARKS for piece in pieces)
    seen = dict.fromkeys(word.lower() for piece in pieces for word in re.findall(r"[wW]\d+", piece.embedding_text))
    assert sorted(seen) == sorted(f"w{n}" for n in range(count))
    body = {w.lower() for b in blocks if b.kind not in ("title", "heading") for w in re.findall(r"[wW]\d+", b.text)}
    assert [word for word in seen if word in body] == sorted(body, key=lambda word: int(word[1:]))


@settings(max_examples=30, deadline=None)
@given(documents(), st.integers(48, 200))
def test_it_is_deterministic(made, tokens):
    assert [c.text for c in chunks(*made[0], tokens=tokens)] == [c.text for c in chunks(*made[0], tokens=tokens)]


@pytest.mark.parametrize("tokens", [16, 17, 20])
def test_the_smallest_chunks_still_end(tokens):
    made = chunks(heading("A b c d e f g h i j k l m n"), paragraph(SENTENCE * 5), tokens=tokens, overlap=8)
    assert " ".join(c.text for c in made).count("fox") == 5
    assert all(c.token_count <= tokens for c in made)
