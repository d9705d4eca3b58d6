"""Options that are expressions of the configuration. Annotate a component's options with these types.

The text is compiled when the file is loaded, and its names are checked against what arrives; the component gets an
`Expression` and calls `evaluate(item)`, which raises InvalidInput where an item does not fit.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import PlainValidator, WithJsonSchema

from fastembed.pipeline.config.expressions import Result, compile_expression
from fastembed.pipeline.plan import Expression


def _compiler(result: Result) -> PlainValidator:
    def compile_text(found: object) -> Expression:
        if isinstance(found, Expression):
            return found
        if isinstance(found, bool | int | float):  # a literal of YAML is the same literal here
            found = repr(found)
        if not isinstance(found, str):
            msg = f"found {type(found).__name__}, expected an expression such as value.pages > 10"
            raise ValueError(msg)  # noqa: TRY004 - pydantic reports a ValueError
        return compile_expression(found, result)

    return PlainValidator(compile_text)


_SCHEMA: Final = WithJsonSchema({"type": ["string", "number", "boolean"], "description": "An expression."})
_CONDITION: Final = WithJsonSchema({"type": ["string", "boolean"], "description": "An expression, true or false."})

ValueExpression = Annotated[Expression, _compiler("any"), _SCHEMA]
"""Any value."""

Condition = Annotated[Expression, _compiler("truth"), _CONDITION]
"""True or False."""

KeyExpression = Annotated[Expression, _compiler("key"), _SCHEMA]
"""Text, or None; a number becomes text."""
