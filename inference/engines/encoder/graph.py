"""Surgery that BERT-like graphs need before they are compiled."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from openvino import opset13 as ops

_MASKED: Final = -1e4
_UNSAFE_BELOW: Final = -1e30


def tame_masks(model: Any) -> int:
    """Replace the lowest float, as attention masks use it, by -1e4; return how many constants were replaced.

    In bfloat16, the default of many CPUs, -3.4e38 becomes minus infinity and a padded batch loses its meaning
    (measured: cosine 0.23 to the float32 result). exp(-1e4) is 0 in every float format.
    """
    unsafe = [op for op in model.get_ops() if op.get_type_name() == "Constant" and _is_unsafe(op)]
    for op in unsafe:
        kind = op.get_element_type()
        tamed = ops.constant(np.full(op.get_output_shape(0), _MASKED, np.float32), kind)
        for target in op.output(0).get_target_inputs():
            target.replace_source_output(tamed.output(0))
    if unsafe:
        model.validate_nodes_and_infer_types()
    return len(unsafe)


def _is_unsafe(op: Any) -> bool:
    if not op.get_element_type().is_real() or int(np.prod(op.get_output_shape(0))) != 1:
        return False
    value = float(np.asarray(op.get_data()).reshape(-1)[0])
    return value < _UNSAFE_BELOW or (op.get_element_type().get_type_name() == "f16" and value < 2 * _MASKED)


def rebuilt(model: Any, output: Any) -> Any:
    """Return the graph with this output alone."""
    import openvino

    return openvino.Model([ops.result(output)], model.get_parameters(), model.get_friendly_name())
