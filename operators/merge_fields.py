"""Put the results of a fork's branches into one mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal

from pydantic import BaseModel

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import InvalidInput


@operator
class MergeFields:
    """Merge the results of branches, as `fork: {join: all}` gives them, into one mapping.

    A branch's result that has fields (a mapping, a dataclass, a pydantic model) gives its fields, any other result
    stands under the branch's name.

    In: mapping of branch name to result. Out: mapping.

    Args:
        conflict: what becomes of a field that two branches give differently: `error` fails the item, `first` and
            `last` take the value of that branch, in the order of the file.

    Raises:
        InvalidInput: a field that two branches give differently, with `conflict: error`.

    """

    def __init__(self, *, conflict: Literal["error", "first", "last"] = "error") -> None:
        self._conflict = conflict

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Merge one item's results; runs on the event loop."""
        merged: dict[str, Any] = {}
        givers: dict[str, str] = {}
        for branch, result in results.items():
            for name, value in _fields(branch, result).items():
                if name in merged and self._conflict == "error" and not _same(merged[name], value):
                    raise InvalidInput(
                        f"found the field {name} from the branches {givers[name]} and {branch} with different values, "
                        "expected it once, or conflict: first or last"
                    )
                if name not in merged or self._conflict == "last":
                    merged[name], givers[name] = value, branch
        return merged


def _fields(branch: str, result: Any) -> Mapping[str, Any]:
    if isinstance(result, Mapping):
        return result
    if is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in fields(result)}
    if isinstance(result, BaseModel):
        return dict(result)
    return {branch: result}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal; of arrays, whose `==` is an array, only an array with itself is."""
    if one is other:
        return True
    equal = one == other
    return equal if isinstance(equal, bool) else False
