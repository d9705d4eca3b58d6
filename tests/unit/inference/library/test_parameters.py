"""Parameters are counted, whatever their precision."""

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from fastembed.inference.library.parameters import count_parameters
from tests.integration.chat_pocket_gguf import write_gguf

MODELS = Path(__file__).parents[4] / "models"


@pytest.mark.parametrize(("name", "millions"), [("minilm", 22.7), ("chat-pocket", 0.95), ("rerank-pocket", 0.97)])
def test_the_graphs_of_what_ships_have_the_published_numbers(name, millions):
    assert count_parameters(MODELS / name) / 1e6 == pytest.approx(millions, rel=0.03)


def test_a_gguf_file_has_as_many_in_any_kind_of_blocks(tmp_path):
    counts = set()
    for kind in (Kind.F16, Kind.Q4_1, Kind.Q8_0):
        (tmp_path / kind.name).mkdir()
        write_gguf(MODELS / "chat-pocket", tmp_path / kind.name / "chat.gguf", kind=kind)
        counts.add(count_parameters(tmp_path / kind.name))
    [count] = counts
    assert count / 1e6 == pytest.approx(0.95, rel=0.03)


def test_what_cannot_be_counted_is_unknown(tmp_path):
    assert count_parameters(tmp_path) == 0
    (tmp_path / "chat.gguf").write_bytes(b"GGUF")
    assert count_parameters(tmp_path) == 0
