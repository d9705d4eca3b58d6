"""What models take is guessed, measured and remembered; the disk that it is remembered on may be bad."""

from fastembed.inference.serving.residency.footprints import Footprints

MIB = 2**20


def folder(base, name="model", size=50 * MIB):
    made = base / name
    made.mkdir()
    with (made / "openvino_model.bin").open("wb") as file:
        file.truncate(size)
    return made


def test_before_the_first_load_the_weights_tell(tmp_path):
    small, large = folder(tmp_path, "small"), folder(tmp_path, "large", 5_000 * MIB)
    guess = Footprints().of(large, "CPU")
    assert not guess.measured
    assert 5_000 * MIB < guess.bytes < 8_000 * MIB
    assert guess.load_s > Footprints().of(small, "CPU").load_s


def test_what_was_measured_is_known_after_a_restart(tmp_path):
    model, file = folder(tmp_path), tmp_path / "home" / "footprints.json"
    Footprints(file).remember(model, "NPU", 70 * MIB, 2.5)
    found = Footprints(file).of(model, "NPU")
    assert (found.bytes, found.load_s, found.measured) == (70 * MIB, 2.5, True)
    assert not Footprints(file).of(model, "CPU").measured


def test_other_files_in_the_folder_are_another_model(tmp_path):
    model, known = folder(tmp_path), Footprints()
    known.remember(model, "CPU", 70 * MIB, 2.5)
    (model / "openvino_model.bin").write_bytes(b"other weights")
    assert not known.of(model, "CPU").measured


def test_a_file_that_cannot_be_read_is_measured_anew(tmp_path, caplog):
    file = tmp_path / "footprints.json"
    file.write_text("[1, 2")
    known = Footprints(file)
    assert not known.of(folder(tmp_path), "CPU").measured
    assert "expected footprints" in caplog.text


def test_a_place_that_cannot_be_written_is_told_and_costs_nothing_else(tmp_path, caplog):
    (tmp_path / "taken").write_text("")
    model, known = folder(tmp_path), Footprints(tmp_path / "taken" / "footprints.json")
    known.remember(model, "CPU", 70 * MIB, 2.5)
    assert known.of(model, "CPU").measured
    assert "footprints are not remembered" in caplog.text


def test_the_oldest_of_very_many_are_forgotten(tmp_path):
    known = Footprints(tmp_path / "footprints.json")
    models = [folder(tmp_path, f"m{number}", 1) for number in range(201)]
    for model in models[:2]:
        known.remember(model, "CPU", 1, 1.0)
    for device in range(199):
        known.remember(models[2], f"GPU.{device}", 1, 1.0)
    assert not known.of(models[0], "CPU").measured
    assert known.of(models[1], "CPU").measured


def test_what_is_loaded_with_a_model_counts_and_makes_it_another(tmp_path):
    model, draft = folder(tmp_path), folder(tmp_path, "draft", 20 * MIB)
    adapter = tmp_path / "adapter_model.safetensors"
    adapter.write_bytes(b"0" * MIB)
    known = Footprints()
    assert known.of(model, "CPU", draft, adapter).bytes - known.of(model, "CPU").bytes == int(1.3 * 21 * MIB)
    known.remember(model, "CPU", 70 * MIB, 2.5, draft)
    assert known.of(model, "CPU", draft).measured
    assert not known.of(model, "CPU").measured
    assert not known.of(model, "CPU", draft, adapter).measured
