"""docs/models.md says what the code says."""

import re
from pathlib import Path

from typer.main import get_command

from fastembed.assembly import read_configuration
from fastembed.cli import app
from fastembed.inference.library.hub.known import KNOWN
from fastembed.inference.library.sections import read_sections

PAGE = (Path(__file__).parents[5] / "docs" / "models.md").read_text()

PIPELINE = """
pipelines:
  embeddings:
    source: {http: POST /v1/embeddings}
    operators: [analyze, embed: {model: auto}]
    sink: reply
"""


def rows():
    """The table of names: each, then the rest of the line."""
    names = PAGE.partition("## Names")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (`.*)$", names, re.MULTILINE):
        names, *rest = (cell.strip() for cell in line.split("|"))
        for name in re.findall(r"`([^`]+)`", names):
            yield name, rest


def test_the_table_has_every_known_model_with_its_licence_and_where_it_comes_from():
    table = dict(rows())
    assert table.keys() == {model.name for model in KNOWN}
    for model in KNOWN:
        task, files, licence = table[model.name][:3]
        assert task.startswith(model.task)
        assert licence == model.licence
        size = model.name.removeprefix("whisper-")
        source = f"pull: {model.repository}" if model.repository else f"export: {model.source}"
        if model.packaged:
            wheels = " and ".join(str(wheel) for wheel in model.packaged.wheels)
            source = f"{source}, or {wheels}" if model.repository else f"pull: {wheels}"
        assert re.sub(r" \((gated|ONNX, converted)\)$", "", files.replace("SIZE", size).partition(";")[0]) == source


def test_the_commands_and_options_exist():
    commands = get_command(app).commands
    named = set(re.findall(r"^fastembed ([a-z]+)", PAGE, re.MULTILINE)) | set(re.findall(r"`fastembed ([a-z]+)", PAGE))
    assert {"models", "pull", "convert", "rm"} <= named <= set(commands)
    options = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    own = re.findall(r"`(--(?!group-size)[a-z-]+)", PAGE)
    assert set(own) <= options


def test_the_declarations_are_valid(tmp_path):
    first, second = re.findall(r"^```yaml\nmodels:\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    text = "models:\n" + first + second.replace("  qwen:", "  quick:")
    file = tmp_path / "pipelines.yaml"
    file.write_text(f"version: 1\n{text}{PIPELINE}")
    declared, _ = read_sections(read_configuration(file).sections)
    assert list(declared) == ["qwen", "ears", "mine", "quick", "qwen-support"]
