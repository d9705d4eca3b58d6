"""A task and a kind of device that the product has not, as a plug-in brings them: one value each, and registered."""

import asyncio

import numpy as np
import openvino
from openvino import opset8 as ops

from fastembed.inference.library.device_memory import Memory
from fastembed.inference.library.device_traits import DEVICE_KINDS, DeviceTraits
from fastembed.inference.library.tasks import TASKS, TaskKind
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import operator

MIB = 2**20


class ReverseModel:
    """Turns texts round, on OpenVINO."""

    def __init__(self, name, folder, device, compiled):
        self.name, self.folder, self.device = name, folder, device
        self._request = compiled.create_infer_request()

    def reverse(self, text):
        self._request.set_input_tensor(openvino.Tensor(np.array([ord(letter) for letter in text], np.int32)))
        self._request.start_async()
        self._request.wait()
        return "".join(map(chr, self._request.get_output_tensor().data))

    async def close(self):
        del self._request


def load(request):
    text = ops.parameter([-1], np.int32)
    end = ops.constant(np.array([-1], np.int32))
    model = openvino.Model([ops.strided_slice(text, end, np.array([0], np.int32), end, [1], [1])], [text])
    compiled = request.devices.core.compile_model(model, request.device, {})
    return ReverseModel(request.name, request.folder, request.device, compiled)


TASKS.register(
    TaskKind(
        name="reverse",
        recognise=lambda files: "reverse.bin" in files.names,
        load=load,
        extra_memory=lambda _request: (6 * MIB, 64 * MIB),
        growth=lambda _model: 6 * MIB,
        facts=frozenset({"reversing"}),
        steps=frozenset({"turn"}),
    )
)
DEVICE_KINDS.register(
    DeviceTraits(
        family="nnp",
        noun="an NNP",
        fixed_shapes=True,
        logprobs=False,
        memory=lambda _core, _device: Memory(total=76 * MIB),
    )
)


@operator
class Turn:
    """Turn texts round.

    In: a text.
    Out: the text, its last letter first.

    Args:
        model: name from `models:`.

    """

    def __init__(self, *, model: str = "auto") -> None:
        self._model = model

    async def open(self, context) -> None:
        self._models = context.resources.get(Models)

    async def __call__(self, text: str) -> str:
        async with self._models.lend(self._model, "reverse") as model:
            return await asyncio.to_thread(model.reverse, text)
