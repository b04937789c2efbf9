"""Our statements on a connection of the host's, in the schema of our tables: the host's search path stays its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import Connection


class _InSchema:
    """A connection of the host's whose statements, run through this, mean the tables in a schema.

    Only what is run through it: the schema goes with each statement, and nothing is changed on the connection itself,
    which others use at the same time. Everything else is the connection's own.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self.plain = connection
        self.schema = schema

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Run a statement in the schema."""
        return self._run(self.plain.execute, statement, parameters, execution_options)

    def scalar(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Run a statement in the schema; give the first value."""
        return self._run(self.plain.scalar, statement, parameters, execution_options)

    def scalars(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Run a statement in the schema; give the first value of each row."""
        return self._run(self.plain.scalars, statement, parameters, execution_options)

    def _run(self, method: Callable[..., Any], statement: Any, parameters: Any, options: Any) -> Any:
        chosen = {**(options or {}), "schema_translate_map": {None: self.schema}}
        return method(statement, parameters, execution_options=chosen)


def in_schema(connection: Connection, schema: str | None) -> Connection:
    """Give a connection on which statements of Core mean the tables in a schema, `text()` left out.

    Args:
        connection: The host's. Its own statements, and its search path, stay as they are.
        schema: The schema of our tables; None gives the connection back.
    """
    # It is used as one, and by nobody who asks what it is.
    return connection if schema is None else cast("Connection", _InSchema(connection, schema))


def bare(given: Any) -> tuple[Any, str | None]:
    """Give a connection as the host has it, and the schema that `in_schema` put on it; anything else as it is."""
    return (given.plain, given.schema) if isinstance(given, _InSchema) else (given, None)
