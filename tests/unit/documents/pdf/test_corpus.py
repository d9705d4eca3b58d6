"""The reader's scores on a small corpus: what a change of one threshold costs elsewhere shows here.

The corpus is drawn by a seed: papers in one, two and three columns, a manual with running heads and tables, a letter, a
listing. Each page's words, headings and cells are known exactly, so the figures are those of `bench/documents.py`
against the truth: recall of words, order (the longest chain of word triples), F1 of headings, cells of tables. A bound
is what the reader reached when it was written, less a little; a change that lowers one has to say why.
"""

import bisect
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from docling_core.types.doc import ContentLayer, DocItemLabel

from fastembed.documents.pdf.document import read_pdf
from tests.unit.documents.pdf.conftest import Sheets

SYLLABLES = tuple("ba do fi ken lor mur nas pel quor rit sum tav vel wen xis zor".split())  # noqa: SIM905 - shorter
BODY = 10
BOTTOM = 770
SEEDS = range(3)


@dataclass
class Truth:
    """What a drawn file says, in reading order."""

    sheets: Sheets
    words: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)


class Author:
    """Writes words that occur once or twice, so that each has a place."""

    def __init__(self, seed, *, ragged=1.0):
        self.random = random.Random(seed)
        self.ragged = ragged  # of a line's width, at which lines end at the earliest
        self.truth = Truth(Sheets())

    def word(self):
        return "".join(self.random.choice(SYLLABLES) for _ in range(self.random.choice((1, 1, 2, 2, 2, 3))))

    def line(self, width):
        """Return as many words as fit into a line, as any typesetter does."""
        line = self.word()
        width *= self.random.uniform(self.ragged, 1)
        while width_of(longer := f"{line} {self.word()}") <= width:
            line = longer
        return line

    def paragraph(self, x, y, width, count):
        lines = [self.line(width) for _ in range(count)]
        lines[0] = lines[0].capitalize()
        lines[-1] = lines[-1][: len(lines[-1]) // 2].rpartition(" ")[0] + "."
        self.truth.sheets.lines(x, y, lines)
        self.truth.words += " ".join(lines).split()
        return y + count * 1.2 * BODY + 8

    def heading(self, x, y, title, *, size=13, font="bold"):
        self.truth.sheets.text(x, y + 10, title, size=size, font=font)
        self.truth.words += title.split()
        self.truth.headings.append(title)
        return y + 10 + size + 8

    def title(self, width=450):
        title = self.word().capitalize()
        while self.random.random() < 0.6 and (len(title) + 12) * 13 * 0.6 < width:
            title += " " + self.word()
        return title

    def column(self, x, width, top, number):
        """Fill a column with headed paragraphs; return the next section's number."""
        y = top
        while y < BOTTOM - 110:
            y = self.heading(x, y, f"{number} {self.title(width)}")
            y = self.paragraph(x, y, width, self.random.randint(4, 7))
            number += 1
        return number

    def table(self, x, y, columns, rows, *, ruled):
        cells = [[self.word().capitalize() for _ in range(columns)]]
        cells += [[self.word(), *(f"{self.random.randint(10, 9999)}" for _ in range(columns - 1))] for _ in range(rows)]
        width = 90
        for r, row in enumerate(cells):
            for c, text in enumerate(row):
                self.truth.sheets.text(x + c * width + 4, y + 16 * r + 12, text, font="plain" if r else "bold")
            self.truth.words += row
        for r in range(rows + 2) if ruled else (0, 1, rows + 1):
            self.truth.sheets.rule(x, y + 16 * r, x + columns * width, y + 16 * r)
        for c in range(columns + 1) if ruled else ():
            self.truth.sheets.rule(x + c * width, y, x + c * width, y + 16 * (rows + 1))
        self.truth.tables.append(cells)
        return y + 16 * (rows + 1) + 14


def width_of(text):
    """Return the width in Helvetica, as far as these words need it."""
    return BODY * sum(0.25 if c in "filrt ,.'" else 0.8 if c in "mwMW" else 0.55 for c in text)


def paper(seed, columns, *, ragged=1.0):
    author = Author(seed, ragged=ragged)
    gap = 18
    width = (595 - 2 * 60 - gap * (columns - 1)) / columns
    number = 1
    for page in range(2):
        if page:
            author.truth.sheets.page()
        for column in range(columns):
            number = author.column(60 + column * (width + gap), width, 70, number)
    return author.truth


def manual(seed):
    """Return a manual: running heads and feet, which are no words of the text, and a table a page."""
    author = Author(seed)
    for page in range(4):
        if page:
            author.truth.sheets.page()
        author.truth.sheets.text(72, 40, "The Manual of Everything", size=9)
        author.truth.sheets.text(290, 810, str(page + 1), size=9)
        y = author.heading(72, 80, f"{page + 1} {author.title()}", size=16)
        y = author.paragraph(72, y, 450, 5)
        y = author.heading(72, y, f"{page + 1}.1 {author.title()}")
        y = author.paragraph(72, y, 450, 3)
        y = author.table(72, y, 4, 5, ruled=page % 2 == 0)
        author.paragraph(72, y + 14, 450, 4)
    return author.truth


def guide(seed):
    """Return a guide with listings in fixed pitch, lists with bullets, and headings that nothing numbers."""
    author = Author(seed)
    truth = author.truth
    for page in range(3):
        if page:
            truth.sheets.page()
        y = 70
        while y < BOTTOM - 200:
            y = author.heading(72, y, author.title(), size=14)
            y = author.paragraph(72, y, 440, 4)
            for indent in (0, 4, 8, 4):
                code = f"{' ' * indent}{author.word()} = {author.word()}({author.word()}, {author.word()})"
                truth.sheets.text(90, y, code, font="mono")
                truth.words += code.split()
                y += 12
            y += 12
            for _ in range(3):
                entry = author.line(300)
                truth.sheets.text(80, y, "\u2022").text(95, y, entry)
                truth.words += entry.split()
                y += 13
            y += 12
    return truth


def letter(seed):
    author = Author(seed)
    y = 120
    for count in (1, 4, 6, 5):
        y = author.paragraph(72, y, 440, count)
    return author.truth


CORPUS = {
    "one column": lambda seed: paper(seed, 1),
    "two columns": lambda seed: paper(seed, 2),
    "three columns": lambda seed: paper(seed, 3),
    "three ragged columns": lambda seed: paper(seed, 3, ragged=0.55),
    "manual": manual,
    "guide": guide,
    "letter": letter,
}
# word recall, order, heading F1, cells of tables
BOUNDS = {
    "one column": (0.999, 0.999, 0.999, 1.0),
    "two columns": (0.999, 0.999, 0.999, 1.0),
    "three columns": (0.999, 0.999, 0.999, 1.0),
    # A known weakness: narrow columns whose lines end anywhere and stand level look like the rows of a table.
    "three ragged columns": (0.999, 0.3, 0.4, 0.0),
    "manual": (0.999, 0.999, 0.999, 0.999),
    "guide": (0.999, 0.999, 0.999, 1.0),
    "letter": (0.999, 0.999, 1.0, 1.0),
}


def recall(own, reference):
    return 1 - (Counter(reference) - Counter(own)).total() / len(reference)


def order(own, reference):
    """Return the share of the triples that occur once in both which lie on the longest increasing chain."""
    where, there = once(own), once(reference)
    places = [where[triple] for triple in there if triple in where]
    tails = []
    for place in places:
        at = bisect.bisect_left(tails, place)
        tails[at : at + 1] = [place]
    return len(tails) / len(there)


def once(words):
    triples = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    count = Counter(triples)
    return {triple: i for i, triple in enumerate(triples) if count[triple] == 1}


def f1(found, wanted):
    right = (Counter(found) & Counter(wanted)).total()
    return 2 * right / (len(found) + len(wanted)) if found or wanted else 1.0


def cells(document, wanted):
    """Return the share of the cells that stand in their row and column of their table."""
    right = total = 0
    for place, rows in enumerate(wanted):
        total += sum(map(len, rows))
        if place < len(document.tables):
            grid = [[cell.text for cell in row] for row in document.tables[place].data.grid]
            right += sum(a == b for own, row in zip(grid, rows, strict=False) for a, b in zip(own, row, strict=False))
    return right / total if total else float(not document.tables)


def text_of(document):
    words = []
    for item, _ in document.iterate_items(included_content_layers={ContentLayer.BODY}):
        if hasattr(item, "text"):
            words += item.text.split()
        elif hasattr(item, "data"):
            words += [word for row in item.data.grid for cell in row for word in cell.text.split()]
    return words


def scores(truth, path):
    document = read_pdf(truth.sheets.save(path))
    words = text_of(document)
    heads = [item.text for item in document.texts if item.label in (DocItemLabel.SECTION_HEADER, DocItemLabel.TITLE)]
    return (
        recall(words, truth.words),
        order(words, truth.words),
        f1(heads, truth.headings),
        cells(document, truth.tables),
    )


@pytest.mark.parametrize("kind", CORPUS)
def test_a_kind_of_file_is_read_at_least_this_well(kind, tmp_path):
    found = [scores(CORPUS[kind](seed), tmp_path / f"{seed}.pdf") for seed in SEEDS]
    means = [sum(column) / len(found) for column in zip(*found, strict=True)]
    names = ("recall", "order", "headings", "cells")
    low = {n: round(m, 4) for n, m, bound in zip(names, means, BOUNDS[kind], strict=True) if m < bound}
    assert not low, f"{kind}: {low}, expected at least {BOUNDS[kind]}"
