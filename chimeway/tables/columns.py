"""What the columns of several tables have in common, and the metadata that all belong to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, MetaData, String

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    },
)

#: Characters of ids, of keys that a host gives, and of names.
ID, KEY, NAME = 32, 255, 100


def id_column(name: str = "id", **options: Any) -> Column[str]:
    """Make a column of an id."""
    return Column(name, String(ID), **options)


def tenant_column() -> Column[str]:
    """Make the column of the tenant."""
    return Column("tenant_id", String(NAME), nullable=False)


def json_column(name: str, **options: Any) -> Column[Any]:
    """Make a column of JSON values, in which None is no value."""
    return Column(name, JSON(none_as_null=True), **options)
