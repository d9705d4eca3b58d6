"""What values that are made by expressions, or read from JSON, may be."""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray

ONE_OF: Final = object()
"""Marks an annotation: each value is of one of its types, and the component cannot say before which.

`check` accepts a step behind it that takes one of them.
"""

PlainValue = Annotated[str | int | float | bool | list[Any] | dict[str, Any] | NDArray[np.generic], ONE_OF]
"""Text, a number, a truth value, a list, a mapping or an array."""
