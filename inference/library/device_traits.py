"""What kinds of devices there are, and how they differ. Another kind is one `DeviceTraits` and its registration.

    NNP = DeviceTraits(family="nnp", noun="an NNP", fixed_shapes=True, memory=memory_from("NNP_TOTAL_MEM_SIZE"))
    DEVICE_KINDS.register(NNP)

Then `devices:` and `on:` take its family, OpenVINO's devices of that name are of that kind, and planner, router and
engines ask its traits. Nothing else in the product asks what a device is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias

from fastembed.inference.library.device_memory import Memory, MemorySource, machine_memory, memory_from
from fastembed.inference.library.registered_name import RegisteredName


def _unknown_memory(core: Any, device: str) -> Memory:
    del core, device
    return Memory()


def _main_memory(core: Any, device: str) -> Memory:
    del core, device
    return machine_memory()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTraits:
    """One kind of device.

    family: its key in `devices:` and `on:`, OpenVINO's name in lower case and without a number. noun: with its article,
    for messages. fixed_shapes: models are compiled for fixed lengths; chats then run one at a time, without draft
    models or adapters. logprobs: its chat engine tells them. hears: it runs chat models that take sound. gguf: it runs
    the graphs that GenAI makes of GGUF files. driver: what OpenVINO needs to find it. refused: values of OpenVINO's
    properties with which it answers wrongly, in lower case. host: the machine's own cores, whose threads and streams
    can be set and whose load the system knows. npu_priority: requests move it to the front or to the end with that
    field. memory: where its memory is read.
    """

    family: str
    noun: str
    fixed_shapes: bool = False
    logprobs: bool = True
    hears: bool = True
    gguf: bool = True
    driver: str = ""
    refused: Mapping[str, frozenset[str]] = field(default_factory=dict)
    host: bool = False
    npu_priority: bool = False
    memory: MemorySource = _unknown_memory

    @property
    def batches(self) -> bool:
        """Whether its chat engine answers several requests at once."""
        return not self.fixed_shapes


NPU: Final = DeviceTraits(
    family="npu",
    noun="an NPU",
    fixed_shapes=True,
    logprobs=False,
    hears=False,
    gguf=False,  # 2026.4.1 stops at their broadcasts, or at two outputs of one name
    driver="Intel's NPU driver (on Linux the intel-level-zero-npu and intel-driver-compiler-npu packages)",
    refused={"KV_CACHE_PRECISION": frozenset({"u8", "i8"})},  # 2026.4.1: as if the prompt were not there
    npu_priority=True,
    memory=memory_from("NPU_DEVICE_TOTAL_MEM_SIZE", "NPU_DEVICE_ALLOC_MEM_SIZE"),
)
GPU: Final = DeviceTraits(
    family="gpu",
    noun="a GPU",
    driver="Intel's graphics driver (on Linux the intel-opencl-icd package)",
    memory=memory_from("GPU_DEVICE_TOTAL_MEM_SIZE"),
)
CPU: Final = DeviceTraits(family="cpu", noun="a CPU", host=True, memory=_main_memory)


class DeviceKinds:
    """The registered kinds, the most preferred first."""

    def __init__(self, *kinds: DeviceTraits) -> None:
        """Start with some. The last stands for every device whose name no kind has, such as AUTO or HETERO."""
        self._kinds = {kind.family: kind for kind in kinds}
        self._fixed = frozenset(self._kinds)
        self._default = kinds[-1]
        self._by_device: dict[str, DeviceTraits] = {}

    def register(self, kind: DeviceTraits) -> None:
        """Add a kind; a plug-in that is read again replaces its own. ValueError: a kind that ships has the name."""
        if kind.family in self._fixed:
            raise ValueError(f"found the device kind {kind.family!r}, which ships, expected a new name")
        self._kinds[kind.family] = kind
        self._by_device.clear()

    def has(self, family: str) -> bool:
        """Whether there is a kind of this name."""
        return family in self._kinds

    def unregister(self, family: str) -> None:
        """Remove a kind, as a test does at its end."""
        del self._kinds[family]
        self._by_device.clear()

    @property
    def all(self) -> tuple[DeviceTraits, ...]:
        """The kinds, in order of registration."""
        return tuple(self._kinds.values())

    def families(self) -> tuple[str, ...]:
        """Return what `on:` and `devices:` may say."""
        return tuple(self._kinds)

    def of(self, device: str) -> DeviceTraits:
        """Return the kind of a device by OpenVINO's name of it: that of "GPU.1" is "gpu"."""
        found = self._by_device.get(device)
        if found is None:
            found = self._by_device[device] = self._kinds.get(device.split(".", 1)[0].lower(), self._default)
        return found


DEVICE_KINDS: Final = DeviceKinds(NPU, GPU, CPU)
DeviceName: TypeAlias = Annotated[str, RegisteredName(DEVICE_KINDS.families)]
traits_of: Final = DEVICE_KINDS.of
"""Return the traits of a device by OpenVINO's name of it."""


def family(device: str) -> str:
    """Return the section name of an OpenVINO device name: "GPU.1" is "gpu"."""
    return DEVICE_KINDS.of(device).family
