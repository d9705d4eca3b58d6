"""A configuration's value that must be one of the names that are registered when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


@dataclass(frozen=True, slots=True)
class RegisteredName:
    """`Annotated[str, RegisteredName(names)]`: what `Literal` is for names that plug-ins add to.

    names: is called at each check, and when the JSON Schema is made.
    """

    names: Callable[[], Iterable[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check that it is a registered name."""
        del source, handler
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """List the names."""
        del schema, handler
        return {"enum": list(self.names()), "type": "string"}

    def _checked(self, value: object) -> str:
        names = list(self.names())
        if isinstance(value, str) and value in names:
            return value
        quoted = [f"'{name}'" for name in names]
        expected = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else "".join(quoted)
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
