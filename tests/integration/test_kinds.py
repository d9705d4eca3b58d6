"""Kinds of files beside PDF and Office: OpenDocument, RTF, TeX, AsciiDoc, XML, web archives, AVIF, older programs'."""

import io
import stat
import zipfile
from email.message import EmailMessage

import docx
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from fastembed.documents import libreoffice
from fastembed.documents.convert import open_converter
from fastembed.pipeline.errors import TooLarge, Unprocessable, UnsupportedMedia
from tests.integration import documents
from tests.integration.compound_files import Storage, save

NAMESPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        **{name: name for name in ("office", "style", "text", "table", "meta", "presentation", "chart")},
        "draw": "drawing",
        "svg": "svg-compatible",
    }.items()
)
NAMESPACES += ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink"'


@pytest.fixture(scope="module")
def converter():
    return open_converter({"cells": 5000})


@pytest.fixture
def read(converter, tmp_path):
    def read_(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return converter.convert(path, name)

    return read_


def texts(found):
    return [text for _, text, *_ in found["blocks"]]


def opened(kind, body, styles="", automatic="", parts=()):
    """Return an OpenDocument file with this body."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        made.writestr("META-INF/manifest.xml", "<manifest/>")
        made.writestr(
            "content.xml",
            f"<?xml version='1.0'?><office:document-content {NAMESPACES}><office:automatic-styles>{automatic}"
            f"</office:automatic-styles><office:body>{body}</office:body></office:document-content>",
        )
        made.writestr("styles.xml", f"<office:document-styles {NAMESPACES}>{styles}</office:document-styles>")
        meta = "<dc:title>The File</dc:title><meta:keyword>a</meta:keyword><meta:keyword>b</meta:keyword>"
        meta = f"<office:meta>{meta}</office:meta>"
        made.writestr("meta.xml", f"<office:document-meta {NAMESPACES}>{meta}</office:document-meta>")
        for name, content in parts:
            made.writestr(name, content)
    return out.getvalue()


def test_a_text_of_opendocument_is_read_in_order(read):
    body = """<office:text>
    <text:tracked-changes><text:changed-region><text:deletion><text:p>DELETED</text:p></text:deletion>
    </text:changed-region></text:tracked-changes>
    <text:p text:style-name="P9">Handbook</text:p>
    <text:h text:outline-level="2">Part<text:s text:c="2"/>one</text:h>
    <text:p>Words<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>
      <text:p>Below.</text:p></text:note-body></text:note> with a <text:a xlink:href="http://x">link</text:a>,
      <text:span text:style-name="T1">HIDDEN</text:span><text:line-break/>next<office:annotation>
      <dc:creator>Ann</dc:creator><text:p>Really?</text:p></office:annotation>.</text:p>
    <text:list text:style-name="L1"><text:list-item><text:p>Total 5</text:p><text:p>0 euros</text:p>
      <text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list></text:list-item>
      <text:list-item text:start-value="7"><text:p>seventh</text:p></text:list-item></text:list>
    <table:table><table:table-header-rows><table:table-row><table:table-cell table:number-columns-spanned="2">
      <text:p>Sales</text:p></table:table-cell><table:covered-table-cell/></table:table-row>
      <table:table-row><table:table-cell><text:p>Place</text:p></table:table-cell><table:table-cell><text:p>Sum</text:p>
      </table:table-cell></table:table-row></table:table-header-rows>
      <table:table-row table:number-rows-repeated="2"><table:table-cell><text:p>North</text:p></table:table-cell>
      <table:table-cell><text:p>1</text:p></table:table-cell></table:table-row></table:table>
    <text:section text:display="none"><text:p>HIDDEN</text:p></text:section>
    <text:p><draw:frame><draw:text-box><text:p>In a box</text:p></draw:text-box></draw:frame>
      <draw:frame><draw:image xlink:href="Pictures/none.png"/><svg:desc>A chart of snow</svg:desc></draw:frame>
      <draw:frame><draw:object xlink:href="./Object 1"/></draw:frame></text:p>
    </office:text>"""
    automatic = """<style:style style:name="T1" style:family="text"><style:text-properties text:display="none"/>
    </style:style>
    <style:style style:name="P9" style:family="paragraph" style:parent-style-name="Title"/>
    <text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1"/>
    <text:list-level-style-bullet text:level="2"/></text:list-style>"""
    styles = """<office:master-styles><style:master-page><style:header><text:p>HEADWORD</text:p></style:header>
    <style:footer><text:p>Page <text:page-number>3</text:page-number></text:p></style:footer></style:master-page>
    </office:master-styles>"""
    chart = f"""<office:document-content {NAMESPACES}><office:body><office:chart><chart:chart><chart:title><text:p>Snow
    </text:p></chart:title><table:table><table:table-row><table:table-cell><text:p>Day</text:p></table:table-cell>
    </table:table-row><table:table-row><table:table-cell><text:p>Mon</text:p></table:table-cell></table:table-row>
    </table:table></chart:chart></office:chart></office:body></office:document-content>"""
    found = read("book.odt", opened("text", body, styles, automatic, [("Object 1/content.xml", chart)]))
    assert texts(found) == [
        "HEADWORD",
        "Handbook",
        "Part one",
        "Words[1] with a link,\nnext.",
        "[1] Below.",
        "Comment (Ann): Really?",
        "1. Total 5\n0 euros",
        "    - inner",
        "7. seventh",
        "| Sales / Place | Sales / Sum |\n| --- | --- |\n| North | 1 |\n| North | 1 |",
        "In a box",
        "A chart of snow",
        "Snow",
        "| Day |\n| --- |\n| Mon |",
    ]
    assert [level for kind, _, _, level, _ in found["blocks"] if kind == "heading"] == [2]
    assert found["title"] == "Handbook"
    assert found["metadata"] == {"title": "The File", "keywords": "a, b"}
    flat = f"<?xml version='1.0'?><office:document {NAMESPACES}><office:body>{body}</office:body></office:document>"
    assert "Part one" in texts(read("book.fodt", flat))


def cell(text="", **attributes):
    named = " ".join(f'{key.replace("__", ":").replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f"<table:table-cell {named}>{f'<text:p>{text}</text:p>' if text else ''}</table:table-cell>"


def row(*cells, repeated=1):
    return f'<table:table-row table:number-rows-repeated="{repeated}">{"".join(cells)}</table:table-row>'


def test_a_sheet_of_opendocument_is_one_table_as_shown(read):
    rows = [
        row(cell("Name"), cell("Day"), cell("Share"), cell(table__number_columns_repeated="16000")),
        row(cell("Ann"), cell("05.03.26", office__date_value="2026-03-05"), cell("25,6 %", office__value="0.256")),
        row(cell(table__number_columns_repeated="16384"), repeated=20),
        row(cell("Bob"), cell(office__value="7"), cell("x", table__number_columns_repeated="2"), repeated=2),
        row(cell(table__formula="of:=1+1", office__value_type="float"), cell("y", table__number_columns_spanned="2")),
        row(cell(table__number_columns_repeated="16384"), repeated=1048000),
    ]
    old = row(cell("a"), cell("b")) + row(cell("1"), cell("2"))
    comment = "<office:annotation><text:p>why</text:p></office:annotation>"
    rows.append(row(cell("q"), cell("z").replace("<text:p>", f"{comment}<text:p>")))
    body = f"""<office:spreadsheet><table:table table:name="Sales">{"".join(rows)}</table:table>
    <table:table table:name="Old" table:style-name="ta2">{old}</table:table></office:spreadsheet>"""
    automatic = """<style:style style:name="ta2" style:family="table"><style:table-properties table:display="false"/>
    </style:style>"""
    found = read("sales.ods", opened("spreadsheet", body, automatic=automatic))
    assert texts(found) == [
        "Sales",
        "\n".join(
            [
                "| Name | Day | Share |  |",
                "| --- | --- | --- | --- |",
                "| Ann | 05.03.26 | 25,6 % |  |",
                *["| Bob | 7 | x | x |"] * 2,
                "|  | y |  |  |",
                "| q | z |  |  |",
            ]
        ),
        "B1048026: Comment: why",
        "Old (hidden)",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
    ]
    assert [page for _, _, page, *_ in found["blocks"]] == [1, 1, 1, 2, 2]
    assert found["warnings"][0].startswith("sheet Sales: 1 formulas without a stored result (A25)")


def test_repeated_cells_are_counted_before_they_are_unfolded(read):
    rows = row(cell("x", table__number_columns_repeated="100"), repeated=51)
    many = f"<office:spreadsheet><table:table>{rows}</table:table></office:spreadsheet>"
    with pytest.raises(TooLarge, match=r"more than 5,000 cells"):
        read("many.ods", opened("spreadsheet", many))


def test_slides_of_opendocument_have_notes_comments_and_groups(read):
    def frame(kind, text):
        box = f"<draw:text-box><text:p>{text}</text:p></draw:text-box>"
        return f'<draw:frame presentation:class="{kind}">{box}</draw:frame>'

    body = f"""<office:presentation><draw:page draw:name="page1">
    {frame("outline", "Body one")}{frame("title", "Title one")}
    {frame("page-number", "1")}<draw:g><draw:custom-shape><text:p>In a group</text:p></draw:custom-shape></draw:g>
    <presentation:notes><draw:page-thumbnail/>{frame("notes", "Say hello")}</presentation:notes>
    <office:annotation><dc:creator>Ann</dc:creator><text:p>Check</text:p></office:annotation></draw:page>
    <draw:page draw:name="page2" draw:style-name="dp2"><draw:frame><table:table>{row(cell("a"), cell("b"))}
    {row(cell("1"), cell("2"))}</table:table></draw:frame></draw:page></office:presentation>"""
    automatic = (
        '<style:style style:name="dp2" style:family="drawing-page">'
        '<style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    found = read("talk.odp", opened("presentation", body, automatic=automatic))
    assert [(text, page) for _, text, page, *_ in found["blocks"]] == [
        ("Title one", 1),
        ("Body one", 1),
        ("In a group", 1),
        ("Speaker notes: Say hello", 1),
        ("Comment (Ann): Check", 1),
        ("(hidden slide)", 2),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", 2),
    ]
    assert found["page_count"] == 2


def test_a_damaged_or_encrypted_opendocument_file_is_told(read):
    with pytest.raises(Unprocessable, match="damaged OpenDocument"):
        read("a.odt", opened("text", "<office:text><text:p>"))
    manifest = [("META-INF/manifest.xml", "<manifest:encryption-data/>")]
    with (
        pytest.raises(Unprocessable, match="encrypted OpenDocument") as caught,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        read("a.odt", opened("text", "<office:text/>", parts=manifest))
    assert caught.value.code == "encrypted"


def test_paragraphs_are_counted_before_they_are_read(tmp_path):
    few = open_converter({"paragraphs": 3})
    for name, content in (
        ("a.odt", opened("text", "<office:text><text:h/>" + "<text:p>x</text:p>" * 3 + "</office:text>")),
        ("a.docx", documents.make_docx(tmp_path / "x.docx").read_bytes()),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TooLarge, match="paragraphs, expected at most 3"):
            few.convert(tmp_path / name, name)


def test_files_say_who_made_them(read, tmp_path):
    made = docx.Document()
    made.core_properties.author, made.core_properties.keywords = "Ada Lovelace", "snow, ice"
    made.add_paragraph("Words")
    made.save(tmp_path / "made.docx")
    found = read("a.docx", (tmp_path / "made.docx").read_bytes())
    assert (found["metadata"]["author"], found["metadata"]["keywords"]) == ("Ada Lovelace", "snow, ice")
    page = "<html><head><title>Snow</title><meta name='Author' content='Bob'></head><body><p>x</p></body></html>"
    assert read("a.html", page)["metadata"] == {"title": "Snow", "author": "Bob"}


# RTF


def rtf(body, head=""):
    fonts = r"{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 MS Gothic;}}"
    styles = r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2 heading 2;}{\s15 Title;}{\*\cs10 Default;}}"
    return rf"{{\rtf1\ansi\ansicpg1252\deff0{fonts}{{\colortbl;\red0;}}{styles}{head}{body}}}".encode("latin-1")


def test_rich_text_is_read_in_all_its_encodings(read):
    body = (
        rb"\pard\plain\f0 M\'fcller \u8364? \u-10179?\u-8704? \emdash\lquote x\rquote\~y {\f1 \'cf\'f0\'e8\'e2\'e5\'f2}"
    )
    body += rb" {\f2 \'93\'fa\'96\{\'8c\'ea}\par {\uc2\u937 XXomega}{\uc0\u937 alpha}\par}"
    assert texts(read("letters.rtf", rtf(body.decode("latin-1")))) == [
        "Müller € 😀 —‘x’\xa0y Привет 日本語",
        "ΩomegaΩalpha",
    ]


def test_rich_text_has_headings_lists_notes_and_a_head(read):
    head = r"{\info{\title Annual \'dcberblick}{\author Ada}{\*\company X}}{\*\generator Riched20;}"
    head += r"{\header Confidential\par}"
    head += r"{\footer Page {\field{\*\fldinst PAGE}{\fldrslt 3}}\chpgn\par}"
    body = r"\pard\s15 The Report\par\pard\s1 Part one\par\pard\s2 Sub\par\pard\plain Words{\super\chftn}"
    body += r"{\footnote\pard\plain{\super\chftn} Below.} with {\v HIDDEN}{\deleted GONE}"
    body += r'{\field{\*\fldinst{HYPERLINK "http://x"}}{\fldrslt{a link}}}.{\*\atnid A}{\*\atnauthor Ann}\chatn'
    body += r"{\*\annotation{\*\atnref 1}Really?}\par{\*\bkmkstart x}"
    body += r"\pard{\listtext\'b7\tab}\ls1\ilvl0 one\par\pard{\listtext o\tab}\ls1\ilvl1 inner\par"
    body += r"\pard{\pntext\f0 2.\tab}{\*\pn\pnlvlbody{\pntxta .}}two\par"
    body += r"{\shp{\*\shpinst{\sp{\sn fFlip}{\sv 0}}{\shptxt \pard In a box\par}}{\shprslt{\*\do x}}}\pard Last\par"
    found = read("report.rtf", rtf(body, head))
    assert texts(found) == [
        "Confidential",
        "The Report",
        "Part one",
        "Sub",
        "Words[1] with a link.",
        "[1] Below.",
        "Comment (Ann): Really?",
        "- one",
        "    - inner",
        "2. two",
        "Last",
        "In a box",
    ]
    assert [(kind, level) for kind, _, _, level, _ in found["blocks"][1:4]] == [
        ("title", 0),
        ("heading", 1),
        ("heading", 2),
    ]
    assert found["metadata"] == {"title": "Annual Überblick", "author": "Ada"}


def test_rich_text_has_tables_with_merged_cells(read):
    def line(edges, *cells):
        shapes = "".join(f"{merge}\\cellx{edge}" for merge, edge in edges)
        return rf"\trowd{shapes}\pard\intbl " + r"\cell ".join(cells) + r"\cell\row"

    plain = [("", 1000), ("", 2000), ("", 3000)]
    body = line(plain, "Region", r"Q\par 1", "Sum") + line([(r"\clvmgf", 1000), *plain[1:]], "North", "1", "2")
    body += line([(r"\clvmrg", 1000), *plain[1:]], "", "3", "4") + line([("", 2000), ("", 3000)], "All", "6")
    body += line([("", 1000), (r"\clmgf", 2000), (r"\clmrg", 3000)], "Note", "wide", "") + r"\pard After\par"
    assert texts(read("table.rtf", rtf(body))) == [
        "\n".join(  # noqa: FLY002 - row by row
            [
                "| Region | Q 1 | Sum |",
                "| --- | --- | --- |",
                "| North | 1 | 2 |",
                "| North | 3 | 4 |",
                "| All |  | 6 |",
                "| Note | wide |  |",
            ]
        ),
        "After",
    ]


def test_headings_of_rich_text_without_styles_are_told_by_their_look(read):
    body = (
        r"{\b\fs36 Big\par}{\b\fs28 Smaller\par}\fs22 "
        r"Words of the text, quite a few of them.\par{\b only bold\par}"
    )
    found = read("look.rtf", rtf(body))
    assert [(kind, level) for kind, _, _, level, _ in found["blocks"]] == [
        ("heading", 1),
        ("heading", 2),
        ("paragraph", 0),
        ("paragraph", 0),
    ]


# Markup


TEX = r"""\documentclass{article}\title{On Groups}\author{Ada}
\begin{document}\maketitle\section{Start}
Text with \emph{emphasis}, a caf\'e and 50\% % a remark
See~\ref{x}.\footnote{FOOTWORD.} \iffalse OFFWORD \fi
\begin{itemize}\item one \item two\end{itemize}
\begin{tabular}{ll}Region & Q1 \\ North & 1 \\ \multicolumn{2}{c}{Sum 3} \\ \end{tabular}
\input{chapter2}
\begin{verbatim}
\iffalse stays
\end{verbatim}
\end{document}"""


def test_tex_is_read_without_what_is_switched_off(read):
    found = read("paper.tex", TEX)
    assert found["title"] == "On Groups"
    everything = "\n".join(texts(found))
    assert "a café and 50%" in everything
    assert "See [x]." in everything
    assert "FOOTWORD" in everything
    assert "OFFWORD" not in everything
    assert "\\iffalse stays" in everything
    assert "| Sum 3 |  |" in everything
    assert found["warnings"] == ["includes other files (chapter2), which are read by themselves only"]


def test_tex_that_is_too_long_for_its_reader_is_read_as_text(read, monkeypatch):
    monkeypatch.setattr("fastembed.documents.others.LONGEST", 100)
    found = read("long.tex", TEX)
    assert "LaTeX: read as text" in found["warnings"][-1]
    assert "FOOTWORD" in found["markdown"]


def test_asciidoc_has_its_attributes_links_and_notes(read):
    text = """= Handbook
Ada Lovelace <ada@example.com>
:product: FastEmbed

The {product} book, https://example.com[a link].footnote:[FOOTWORD]

////
REMARK
////
== One

* a
** b

|===
|Region |Q1

|North |1
|===

----
{product} stays
----

image::x.png[Alt words]

include::two.adoc[]
"""
    found = read("book.adoc", text)
    assert texts(found) == [
        "Handbook",
        "The FastEmbed book, a link. (FOOTWORD)",
        "One",
        "- a",
        "    - b",
        "| Region | Q1 |\n| --- | --- |\n| North | 1 |",
        "```\n{product} stays\n```",
        "Alt words",
    ]
    assert found["metadata"] == {"author": "Ada Lovelace"}
    assert "includes other files (two.adoc)" in found["warnings"][0]


JATS = """<?xml version="1.0"?><article><front><journal-meta><journal-title-group><journal-title>J</journal-title>
</journal-title-group></journal-meta><article-meta><title-group><article-title>On <italic>Groups</italic>, again
</article-title></title-group><contrib-group><contrib contrib-type="author"><name><surname>Lovelace</surname>
<given-names>Ada</given-names></name></contrib></contrib-group><abstract><p>ABSTRACTWORD</p></abstract></article-meta>
</front><body><sec><title>Start</title><p>Text</p></sec></body></article>"""


def test_articles_in_jats_have_their_whole_title_and_head(read):
    found = read("paper.nxml", JATS)
    assert found["title"] == "On Groups, again"
    assert found["blocks"][0][:2] == ["title", "On Groups, again"]
    assert "ABSTRACTWORD" in texts(found)
    assert found["metadata"] == {"title": "On Groups, again", "author": "Ada Lovelace", "journal": "J"}


def test_other_xml_gives_its_words(read):
    found = read("order.xml", "<?xml version='1.0'?><order id='7'><item>Snow <b>shovel</b>, red</item><empty/></order>")
    assert texts(found) == ["order (id=7)", "item: Snow shovel, red"]
    assert texts(read("latin.xml", '<?xml version="1.0" encoding="iso-8859-1"?><a>Köln</a>'.encode("latin-1"))) == [
        "a: Köln"
    ]


def test_a_web_archive_is_its_page(read):
    made = EmailMessage()
    made["Subject"], made["Snapshot-Content-Location"] = "Saved page", "https://example.com/"
    made.set_content("<html><body><h1>Überschrift</h1><p>Words</p></body></html>", subtype="html", charset="iso-8859-1")
    made.add_related(b"\x89PNG", "image", "png", cid="<x>")
    found = read("page.mht", made.as_bytes())
    assert texts(found) == ["Überschrift", "Words"]
    assert found["metadata"]["source"] == "https://example.com/"


# Images, older programs


def drawn(text):
    image = Image.new("RGB", (1240, 400), "white")
    ImageDraw.Draw(image).text((100, 150), text, fill="black", font=ImageFont.load_default(60))
    return image


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_read(converter, tmp_path):
    drawn("Snow report 2026").save(tmp_path / "a.avif")
    assert "Snow report 2026" in converter.convert(tmp_path / "a.avif", "a.avif")["markdown"]


def test_heic_says_what_to_install(read):
    with pytest.raises(UnsupportedMedia, match=r"pip install pillow-heif") as caught:
        read("photo.heic", b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
    assert caught.value.code == "reader_missing"


def test_a_file_of_an_older_program_says_what_to_install(read, monkeypatch, tmp_path):
    monkeypatch.setattr(libreoffice, "program", lambda: None)
    path = save(Storage(WordDocument=b"x"), tmp_path / "a.doc")
    with pytest.raises(UnsupportedMedia, match="install LibreOffice, or save the file as DOCX") as caught:
        read("b.doc", path.read_bytes())
    assert caught.value.code == "reader_missing"


def office(folder, script):
    """Put a program in LibreOffice's place."""
    path = folder / "soffice"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def test_an_older_file_is_converted_with_a_profile_of_its_own_and_read(tmp_path, monkeypatch):
    newer = documents.make_docx(tmp_path / "newer.docx")
    script = f'echo "$@" > {tmp_path}/arguments; mkdir -p out; cp {newer} out/document.docx'
    monkeypatch.setattr(libreoffice, "program", lambda: office(tmp_path, script))
    old = tmp_path / "old.doc"
    old.write_bytes(b"old")
    with libreoffice.converted(old, "old.doc", libreoffice.Format.DOC) as (made, format_):
        assert made.read_bytes() == newer.read_bytes()
        assert format_ is libreoffice.Format.DOCX
    arguments = (tmp_path / "arguments").read_text()
    assert "-env:UserInstallation=file:///" in arguments
    assert "--convert-to docx" in arguments
    assert not made.exists()


def test_a_conversion_that_fails_or_hangs_is_told_and_ended(tmp_path, monkeypatch):
    old = tmp_path / "old.xls"
    old.write_bytes(b"old")
    monkeypatch.setattr(libreoffice, "program", lambda: office(tmp_path, "exit 1"))
    with (
        pytest.raises(Unprocessable, match="cannot read"),
        libreoffice.converted(old, "old.xls", libreoffice.Format.XLS),
    ):
        pass
    monkeypatch.setattr(libreoffice, "program", lambda: office(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid; wait"))
    hanging = libreoffice.converted(old, "old.xls", libreoffice.Format.XLS, limit_s=0.5)
    with pytest.raises(Unprocessable, match=r"after 0\.5 s") as caught, hanging:
        pass
    assert caught.value.code == "parse_timeout"
