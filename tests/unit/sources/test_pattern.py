import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.sources.watching.pattern import any_of, is_hidden, matcher


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("**/*", "a.pdf", True),
        ("**/*", "x/y/a.pdf", True),
        ("*", "x/a.pdf", False),
        ("*.pdf", "A.PDF", True),
        ("**/*.{pdf,docx}", "x/y.docx", True),
        ("**/*.{pdf,docx}", "x/y.doc", False),
        ("{in,out}/**/*.{md,{jpg,jpeg}}", "out/deep/er/x.jpeg", True),
        ("{in,out}/**/*.md", "other/x.md", False),
        ("**/report-?.md", "a/report-1.md", True),
        ("**/report-?.md", "report-10.md", False),
        ("scan[0-9].png", "scan7.png", True),
        ("scan[!0-9].png", "scan7.png", False),
        ("a+b (1).txt", "a+b (1).txt", True),
        ("x/**", "x/y/z", True),
        ("x/**", "xx/y", False),
        ("**/x/**", "a/x/b", True),
        ("[[]x", "[x", True),
        ("[{]x", "{x", True),
        ("[a^&]x", "^x", True),
        ("a{,-draft}.md", "a-draft.md", True),
        ("a{,-draft}.md", "a.md", True),
        ("*", "new\nline", True),
    ],
)
def test_a_glob_matches(pattern: str, name: str, expected: bool) -> None:  # noqa: FBT001
    assert matcher(pattern)(name) is expected


def test_a_glob_that_cannot_be_says_what_is_expected() -> None:
    with pytest.raises(InvalidInput, match=r"found the pattern 'x\[z-a\]', expected a glob such as"):
        matcher("x[z-a]")


def test_any_of_no_patterns_matches_nothing() -> None:
    assert not any_of([])("x")
    assert any_of(["a/**", "b"])("b")


@pytest.mark.parametrize("name", [".git", "a.tmp", "A.PART", "b~", "~$report.docx", "x.crdownload"])
def test_hidden_and_unfinished_names(name: str) -> None:
    assert is_hidden(name)
    assert not is_hidden("report.pdf")
