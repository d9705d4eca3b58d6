from __future__ import annotations

from fastembed.commands.completion import complete_models, complete_pipelines


def test_names_of_the_folder_and_of_the_catalogue_are_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complete_pipelines("") == []
    (tmp_path / "pipelines.yaml").write_text(
        "models: {mine: {}, gem: {}}\npipelines: {papers: {}, post: {}, chat: {}}\n"
    )
    assert complete_pipelines("p") == ["papers", "post"]
    assert complete_models("gem")[:2] == ["gem", "gemma-4-e4b"]
    assert {"auto", "mine", "chat-pocket", "smollm2-135m"} <= set(complete_models(""))


def test_a_file_that_cannot_be_read_offers_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in ("pipelines: [", "pipelines: [a]", "- a", "\x00"):
        (tmp_path / "pipelines.yaml").write_text(text)
        assert complete_pipelines("") == []
