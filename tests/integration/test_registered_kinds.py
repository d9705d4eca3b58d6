"""A task and a kind of device that a plug-in registers go all the way, and nothing else is edited for them."""

from pathlib import Path

import pytest

from fastembed.assembly import make_resources, read_configuration
from fastembed.commands.configuration import check
from fastembed.inference.library.device_traits import DEVICE_KINDS, DeviceTraits
from fastembed.inference.library.tasks import TASKS, TaskKind
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.routing.analysis import Preferences, of_texts
from fastembed.inference.serving.routing.router import Router
from fastembed.inference.testing import FakeDevice, FakeDevices
from fastembed.pipeline.trial import run_trial
from fastembed.server.endpoints.models import describe

PLUGIN = Path(__file__).parents[1] / "assets" / "plugins" / "reverse.py"
MIB = 2**20
FILE = """
version: 1
plugins: [{plugin}]
devices: {{nnp: {{inflight: 1}}}}
models:
  turner: {{from: turner, on: [nnp, cpu]}}
  spinner: {{task: reverse, from: spinner, on: [nnp]}}
pipelines:
  turned:
    source: {{http: POST /v1/turned}}
    operators: [turn: {{model: {model}}}]
    sink: reply
tests:
  - {{pipeline: turned, give: [abc, live], expect: [cba, evil]}}
"""


@pytest.fixture
def write(tmp_path):
    """Write the file that uses the plug-in, and its models' folders; what the plug-in registers goes at the end."""
    for name in ("turner", "spinner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reverse.bin").write_bytes(bytes(MIB))

    def written(model="turner", text=FILE):
        file = tmp_path / "pipelines.yaml"
        file.write_text(text.format(plugin=PLUGIN, model=model))
        return file

    yield written
    for registry, name in ((TASKS, "reverse"), (DEVICE_KINDS, "nnp")):
        if registry.has(name):
            registry.unregister(name)


@pytest.fixture
async def resources(write):
    resources = make_resources(read_configuration(write()), FakeDevices(FakeDevice("NNP"), limits={}))
    yield resources
    await resources.get(Models).close()


def test_check_takes_the_task_and_the_device(write, capsys):
    assert check(write()) == 0
    assert "[turner]" in capsys.readouterr().out


def test_check_says_that_a_model_of_another_task_does_not_turn(write, capsys):
    check(write("all-MiniLM-L6-v2"))
    assert "a model for embedding, expected one for reverse" in capsys.readouterr().err


def test_check_names_the_registered_task_and_device_among_those_that_are_expected(write, capsys):
    text = FILE.replace("task: reverse", "task: revers").replace("[nnp]", "[npp]")
    assert check(write(text=text)) == 2
    problems = capsys.readouterr().err
    assert "'speech' or 'reverse'" in problems
    assert "'npu', 'gpu', 'cpu' or 'nnp'" in problems


def test_without_the_plug_in_they_are_unknown(write, capsys):
    assert check(write(text=FILE.replace("plugins: [{plugin}]", "").replace("turn:", "chunk:"))) == 2
    problems = capsys.readouterr().err
    assert "nnp" in problems
    assert "'transcription' or 'speech'" in problems


async def test_the_file_s_own_tests_run_it(write):
    configuration = read_configuration(write())
    resources = make_resources(configuration, FakeDevices(FakeDevice("NNP")))
    result = await run_trial(configuration.pipelines["turned"], configuration.tests[0], resources)
    assert not result.difference
    await resources.get(Models).close()


async def test_the_catalogue_recognises_a_folder_and_describes_it(resources):
    cards = {card.name: card for card in resources.get(Models).cards()}
    assert cards["turner"].task == "reverse"
    assert describe(cards["turner"])["capabilities"]["reversing"] is True
    assert describe(cards["all-MiniLM-L6-v2"])["capabilities"]["reversing"] is False


async def test_it_is_loaded_on_the_device_and_its_memory_counted(resources):
    models = resources.get(Models)
    async with models.lend("turner", "reverse") as model:
        assert (model.device, model.reverse("live")) == ("NNP", "evil")
    resident = models.residents.known["turner", "NNP"]
    assert resident.entry.bytes > resident.measured >= MIB
    assert models.residents.plan.taken("NNP") == resident.entry.bytes
    assert models.residents.room("NNP").bytes == 76 * MIB - int(0.05 * 76 * MIB)


async def test_what_does_not_fit_beside_it_takes_its_place(resources):
    models = resources.get(Models)
    async with models.lend("turner", "reverse"):
        pass
    async with models.lend("spinner", "reverse"):
        assert models.at("turner", "NNP") is None
        assert models.at("spinner", "NNP") is not None


async def test_the_router_chooses_model_and_device(resources):
    explanation = resources.get(Router).explain_profile(of_texts("reverse", ["live"]), Preferences())
    chosen = [(candidate.model, candidate.device) for candidate in explanation.decision.candidates]
    assert chosen == [("turner", "NNP"), ("turner", "CPU"), ("spinner", "NNP")]
    assert explanation.decision.reasons == ("the first model for reverse that is here",)


def test_a_name_that_ships_cannot_be_taken():
    with pytest.raises(ValueError, match="found the task 'chat', which ships"):
        TASKS.register(TaskKind(name="chat"))
    with pytest.raises(ValueError, match="found the device kind 'npu', which ships"):
        DEVICE_KINDS.register(DeviceTraits(family="npu", noun="an NPU"))
