"""What the system and the devices tell of memory."""

import os

from fastembed.inference.library.device_memory import Memory, machine_memory
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.serving.residency.compiled import prune
from fastembed.inference.serving.residency.memory import process_memory, room_of
from fastembed.inference.serving.residency.plan import DeviceRoom

MIB = 2**20


class Npu:
    """OpenVINO's core on a machine whose driver tells these properties."""

    def __init__(self, **properties):
        self.properties = properties

    def get_property(self, _device, key):
        if key not in self.properties:
            raise RuntimeError(f"unsupported property {key}")
        return self.properties[key]


def devices(core=None, **limits):
    made = Devices({name: DeviceLimits(memory=memory) for name, memory in limits.items()})
    if core is not None:
        made.core = core
    return made


def test_the_machines_memory_is_known_and_only_partly_used():
    memory = machine_memory()
    assert memory.total > 100 * MIB
    assert 0 < memory.used < memory.total
    assert memory.free == memory.total - memory.used


def test_a_process_knows_what_it_wrote():
    before = process_memory()
    held = bytearray(os.urandom(MIB)) * 32
    assert process_memory().anonymous - before.anonymous > 25 * MIB
    assert len(held) == 32 * MIB


def test_another_process_that_is_gone_tells_nothing():
    assert process_memory(2**22 + 1) is None


def test_a_declared_limit_is_kept_whatever_the_machine_has():
    assert room_of(devices(npu="1MiB"), "NPU", 0) == DeviceRoom(MIB, firm=True)


def test_an_npu_is_asked_for_its_memory():
    core = Npu(NPU_DEVICE_TOTAL_MEM_SIZE=1_000 * MIB, NPU_DEVICE_ALLOC_MEM_SIZE=300 * MIB)
    room = room_of(devices(core), "NPU", 200 * MIB)  # 100 of the 300 are another program's
    assert room == DeviceRoom(850 * MIB, firm=False)


def test_a_driver_that_tells_the_total_alone_is_believed():
    assert room_of(devices(Npu(GPU_DEVICE_TOTAL_MEM_SIZE=1_000 * MIB)), "GPU.0", 0) == DeviceRoom(950 * MIB, firm=False)


def test_a_driver_that_tells_nothing_sets_no_limit():
    assert room_of(devices(Npu()), "NPU", 0) is None


def test_of_the_main_memory_what_is_free_and_ours_is_room():
    room = room_of(devices(), "CPU", 10 * MIB)
    assert not room.firm
    assert 0 < room.bytes < machine_memory().total
    assert Memory().free is None


def test_compiled_models_that_were_used_least_recently_go_when_there_are_too_many(tmp_path):
    (tmp_path / "model").mkdir()
    for age, name in enumerate(("newest.blob", "middle.cl_cache", "model/oldest.blob")):
        (tmp_path / name).write_bytes(bytes(1_000))
        os.utime(tmp_path / name, (1_700_000_000 - age, 1_700_000_000 - age))
    assert prune(tmp_path, 3_000) == 0
    assert prune(tmp_path, 2_500) == 1_000
    assert {file.name for file in tmp_path.iterdir()} == {"newest.blob", "middle.cl_cache", "model"}
    assert not list((tmp_path / "model").iterdir())
    assert prune(tmp_path / "nothing") == 0
