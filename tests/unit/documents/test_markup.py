import pytest

from fastembed.documents.markup import html_of, markdown_of, with_ticks


def test_front_matter_is_metadata():
    found = markdown_of("---\ntitle: Storm log\ntags: [snow, wind]\ndate: 2026-11-01\ndraft:\n---\n\n# Storm\n")
    assert found.metadata == {"title": "Storm log", "tags": "snow, wind", "date": "2026-11-01", "draft": ""}
    assert found.text.strip() == "# Storm"


@pytest.mark.parametrize(
    "text",
    [
        "---\nA rule above and a rule below.\n\n---\n",
        "---\n- a\n- list\n---\n",
        "---\nno: end\n",
        "Text\n---\na: b\n---\n",
    ],
)
def test_what_only_looks_like_front_matter_stays_text(text):
    assert markdown_of(text).metadata == {}
    assert markdown_of(text).text == text


def test_ticks_of_task_lists_are_kept_and_links_are_left_alone():
    text = "- [x] paid\n- [ ] open\n  * [X] deep\n1. [ ] first\n- [link](x)\n- [x](y)\n"
    kept = markdown_of(text).text
    assert kept != text
    assert with_ticks(kept) == text.replace("X", "x")


@pytest.mark.parametrize(
    ("head", "encoding", "guessed"),
    [
        ('<meta charset="shift_jis">', "shift_jis", False),
        ('<meta http-equiv="Content-Type" content="text/html; charset=euc-jp">', "euc-jp", False),
        ('<meta charset="utf-8">', "cp932", True),
        ("", "cp932", True),
        ("", "utf-8", False),
        ("", "utf-16", False),
    ],
)
def test_pages_are_read_in_the_encoding_that_they_declare_if_it_fits(head, encoding, guessed):
    page = f"<html><head>{head}</head><body><p>名前と住所、東京都千代田区</p></body></html>"
    content, remark = html_of(page.encode(encoding))
    assert "名前と住所、東京都千代田区" in content.decode("utf-8-sig")
    assert bool(remark) is guessed
    assert b"jis" not in content
