"""The command line that converts a model, and what becomes of it."""

import shlex

import pytest

from fastembed.inference.library.hub.export import ExportFailed, export_of, run
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.library.hub.reference import Reference

CHANNEL_WISE = "--weight-format int4 --sym --ratio 1.0 --group-size -1"
FAKE = """#!/bin/sh
for folder; do :; done
printf '%s\\n' "$@" > {seen}
[ -n "{writes}" ] && mkdir -p "$folder" && echo '<net/>' > "$folder/openvino_model.xml"
exit {status}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def optimum(tmp_path, monkeypatch):
    """Put a program on the path that notes its arguments and writes a model, as optimum-cli does."""

    def install(*, status=0, writes="yes"):
        program = tmp_path / "bin" / "optimum-cli"
        program.parent.mkdir()
        seen = tmp_path / "seen"
        program.write_text(FAKE.format(seen=shlex.quote(str(seen)), status=status, writes=writes))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return seen

    return install


def line(name, **options):
    known = find_known(name)
    source = Reference(known.source) if known else Reference(name)
    return shlex.join(export_of(known, source, **options).command()).replace(str(export_of(known, source).folder), "TO")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemma-3n-4b", f"--model google/gemma-3n-E4B-it --task image-text-to-text {CHANNEL_WISE} TO"),
        ("phi-4-mini", f"--model microsoft/Phi-4-mini-instruct --task text-generation-with-past {CHANNEL_WISE} TO"),
        (
            "bge-small-en-v1.5",
            (
                "--model BAAI/bge-small-en-v1.5 --task feature-extraction --library sentence_transformers "
                "--weight-format int8 TO"
            ),
        ),
        (
            "granite-docling-258m",
            "--model ibm-granite/granite-docling-258M --task image-text-to-text --weight-format int8 TO",
        ),
        (
            "whisper-base",
            "--model openai/whisper-base --task automatic-speech-recognition-with-past --weight-format fp16 TO",
        ),
        ("bge-reranker-base", "--model BAAI/bge-reranker-base --task text-classification --weight-format int8 TO"),
        ("acme/mine", f"--model acme/mine {CHANNEL_WISE} TO"),
    ],
)
def test_each_kind_of_model_has_its_line(name, expected):
    assert line(name) == f"optimum-cli export openvino {expected}"


def test_task_and_weights_can_be_said():
    assert line("acme/mine", task="feature-extraction", weights="fp16").endswith(
        "--task feature-extraction --library sentence_transformers --weight-format fp16 TO"
    )


def test_the_result_belongs_where_the_catalog_looks(home):
    assert (
        export_of(find_known("bge-small-en-v1.5"), Reference("BAAI/bge-small-en-v1.5")).folder
        == home / "bge-small-en-v1.5"
    )
    assert export_of(None, Reference("acme/mine")).folder == home / "acme" / "mine"


def test_a_revision_is_refused_as_the_program_takes_none():
    with pytest.raises(ExportFailed, match="found acme/mine@v1, expected acme/mine"):
        export_of(None, Reference("acme/mine", "v1"))


def test_the_folder_gets_its_name_when_all_is_done(home, optimum):
    seen = optimum()
    folder = run(export_of(None, Reference("acme/mine")))
    assert folder == home / "acme" / "mine"
    assert (folder / "openvino_model.xml").is_file()
    assert seen.read_text().splitlines()[:4] == ["export", "openvino", "--model", "acme/mine"]
    assert not (folder.parent / ".mine.partial").exists()


def test_a_failed_conversion_leaves_no_model(home, optimum):
    optimum(status=3)
    with pytest.raises(ExportFailed, match=r"optimum-cli ended with status 3, expected 0"):
        run(export_of(None, Reference("acme/mine")))
    assert not (home / "acme" / "mine").exists()


def test_a_conversion_that_wrote_nothing_is_an_error(home, optimum):
    optimum(writes="")
    with pytest.raises(ExportFailed, match=r"found no \.xml file in .* expected the OpenVINO files"):
        run(export_of(None, Reference("acme/mine")))
    assert not (home / "acme" / "mine").exists()


def test_without_the_program_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ExportFailed, match=r'found no optimum-cli on the path, .*: pip install "optimum-intel\[openvino\]"'
    ):
        run(export_of(None, Reference("acme/mine")))
