"""For tests, ours and a plug-in author's: devices that are not there, with declared memory, speed and faults.

A fake device stands where a real one would: OpenVINO's core is asked for it by name, compiles models for it, answers
for its properties. It computes on the CPU, so that answers are right; what it costs passes on a clock of its own. Chat
models on a fake NPU take the real NPU code path (NPUW, which here computes on the CPU too), in processes of their own:
the device can refuse them, also when they are started again, but does not see their calls.

    npu = FakeDevice("NPU", memory=64 << 20, compile_s=40.0)
    models = Models(declared, devices=FakeDevices(npu))
    npu.faults = {npu.calls + 1: "fail"}
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino

from fastembed.inference.library.device_traits import NPU, DeviceName, family, traits_of
from fastembed.inference.library.devices import DeviceLimits, Devices

Fault = Literal["fail", "hang", "nan"]


@dataclass
class FakeDevice:
    """A device by OpenVINO's name of it, such as NPU or GPU.1, and what has happened on it.

    memory: bytes for all compiled models together, None: any. inflight: calls at once; one more is an error, as it is
    on a device that does one thing at a time. prompt: longest prompt of a chat model, in tokens. compile_s, call_s:
    seconds that a compilation and a call take, added up in `spent_s`. faults: what happens in the n-th call, from 1: it
    raises, never ends (until `release`), or gives numbers that are none. broken: every compilation fails, from now on.
    """

    name: str
    memory: int | None = None
    inflight: int = 1
    prompt: int = 256
    compile_s: float = 0.0
    call_s: float = 0.0
    faults: Mapping[int, Fault] = field(default_factory=dict)
    broken: bool = False
    calls: int = 0
    compiled: int = 0
    used: int = 0
    most_at_once: int = 0
    spent_s: float = 0.0
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Have the calls that hang fail."""
        self._released.set()

    def compile(self, core: Any, model: Any, properties: Mapping[str, Any]) -> _Compiled:
        """Compile a model, as openvino.Core does. RuntimeError: no room, or the device is broken."""
        size = sum(op.get_byte_size() for op in model.get_ops() if op.get_type_name() == "Constant")
        with self._lock:
            if self.broken:
                raise RuntimeError(f"[{self.name}] found a device that compiles nothing")
            if self.memory is not None and self.used + size > self.memory:
                raise RuntimeError(f"[{self.name}] found {self.memory - self.used} bytes free, expected {size}")
            self.used += size
            self.compiled += 1
            self.spent_s += self.compile_s
        known = {key: value for key, value in properties.items() if key in ("PERFORMANCE_HINT", "CACHE_DIR")}
        compiled = _Compiled(self, core.compile_model(model, "CPU", known))
        weakref.finalize(compiled, self._free, size)
        return compiled

    def _free(self, size: int) -> None:
        self.used -= size

    def begin(self) -> Fault | None:
        """Count a call; return what is wrong with it. RuntimeError: one too many at once, or it was to fail."""
        with self._lock:
            if self._running >= self.inflight:
                raise RuntimeError(f"[{self.name}] found {self._running} calls running, expected fewer than that")
            self.calls += 1
            self.spent_s += self.call_s
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            return self.faults.get(self.calls)

    def end(self, fault: Fault | None) -> None:
        """End a call, as its fault has it."""
        if fault == "hang":
            self._released.wait()
        with self._lock:
            self._running -= 1
        if fault in ("fail", "hang"):
            raise RuntimeError(f"[{self.name}] found a fault that was planned: {fault}")


class FakeDevices(Devices):
    """The devices of this machine, and fake ones before them."""

    def __init__(self, *fakes: FakeDevice, limits: Mapping[DeviceName, DeviceLimits] | None = None) -> None:
        """Offer the fake devices in their order, then the machine's own."""
        declared = {family(fake.name): DeviceLimits(inflight=fake.inflight) for fake in fakes}
        super().__init__({**declared, **(limits or {})})
        self._fakes = {fake.name: fake for fake in fakes}
        self._core = _Core(openvino.Core(), self._fakes)

    @property
    def core(self) -> Any:
        """A core that knows the fake devices."""
        return self._core

    @property
    def available(self) -> tuple[str, ...]:
        """Names of all devices."""
        return tuple(self._core.available_devices)

    def generation_properties(self, device: str, *parts: Path) -> dict[str, Any]:
        """Return what has OpenVINO take the NPU's code path and compute on the CPU, for a fake NPU."""
        found = super().generation_properties(device, *parts)
        fake = self._fakes.get(device)
        if fake is None:
            return found
        if traits_of(device) is NPU:
            found |= {"NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE"}
            found |= {"MAX_PROMPT_LEN": fake.prompt, "MIN_RESPONSE_LEN": 128}
        return _Properties(fake, found)


class _Properties(dict[str, Any]):
    """What a chat process is started with: pickled, they are those of the fake device as it is then."""

    def __init__(self, fake: FakeDevice, found: Mapping[str, Any]) -> None:
        super().__init__(found)
        self._fake = fake

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        broken = {"NPUW_DEVICES": "NONE"} if self._fake.broken else {}  # the NPU has no such device, others no such key
        return dict, ({**self, **broken},)


class _Core:
    """openvino.Core with more devices."""

    def __init__(self, core: Any, fakes: Mapping[str, FakeDevice]) -> None:
        self._core = core
        self._fakes = fakes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    @property
    def available_devices(self) -> list[str]:
        return [*self._fakes, *(name for name in self._core.available_devices if name not in self._fakes)]

    def compile_model(self, model: Any, device: str, properties: Mapping[str, Any]) -> Any:
        fake = self._fakes.get(device)
        return (
            fake.compile(self._core, model, properties) if fake else self._core.compile_model(model, device, properties)
        )

    def get_property(self, device: str, key: str) -> Any:
        fake = self._fakes.get(device)
        if fake is None:
            return self._core.get_property(device, key)
        values = {
            "FULL_DEVICE_NAME": f"Fake {device}",
            "NPU_DEVICE_TOTAL_MEM_SIZE": fake.memory,
            "GPU_DEVICE_TOTAL_MEM_SIZE": fake.memory,
            "NPU_DEVICE_ALLOC_MEM_SIZE": fake.used,
        }
        if values.get(key) is None:
            raise RuntimeError(f"[{device}] found no property {key}")
        return values[key]


class _Compiled:
    """A compiled model of a fake device."""

    def __init__(self, device: FakeDevice, compiled: Any) -> None:
        self._device = device
        self._compiled = compiled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    def create_infer_request(self) -> _Request:
        return _Request(self._device, self._compiled.create_infer_request())


class _Request:
    """An infer request of a fake device."""

    def __init__(self, device: FakeDevice, request: Any) -> None:
        self._device = device
        self._request = request
        self._fault: Fault | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def start_async(self) -> None:
        self._fault = self._device.begin()
        self._request.start_async()

    def wait(self) -> None:
        self._request.wait()
        self._device.end(self._fault)

    def get_output_tensor(self, index: int = 0) -> Any:
        tensor = self._request.get_output_tensor(index)
        return openvino.Tensor(np.full_like(tensor.data, np.nan)) if self._fault == "nan" else tensor
