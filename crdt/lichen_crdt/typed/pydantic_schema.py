"""What pydantic is told of `Text` and `Counter`; imported only when a pydantic model has a field of theirs."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


def collaborative(kind: type, plain: type, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """The schema of a class whose instances are also made from plain data, and dumped as it.

    In `Annotated[str, Text]` the class is a mark, and says nothing of the value.
    """
    if source is not kind:
        return handler(source)
    inner = core_schema.str_schema() if plain is str else core_schema.int_schema()

    def make(value: Any) -> Any:
        try:
            return kind(value)
        except (TypeError, OverflowError) as error:  # pydantic takes an enum for the integer that it is not
            raise ValueError(str(error)) from None

    made = core_schema.no_info_after_validator_function(make, inner)
    return core_schema.json_or_python_schema(
        json_schema=made,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(kind), made]),
        serialization=core_schema.plain_serializer_function_ser_schema(plain, return_schema=inner),
    )
