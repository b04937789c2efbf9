"""For tests of chimeway: a row that the database refuses to change."""

from __future__ import annotations

from sqlalchemy import Connection, Table

from chimeway import store


def refuse_changes(table: Table, row_id: str, *, column: str = "id") -> None:
    """Let every change of one row fail, as a value does that cannot be stored."""
    store.write(_refuse, table.name, column, row_id)


def _refuse(connection: Connection, table: str, column: str, row_id: str) -> None:
    named = f"refuse_{row_id}"
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            f"CREATE TRIGGER {named} BEFORE UPDATE ON {table} WHEN OLD.{column} = '{row_id}' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        return
    connection.exec_driver_sql(
        f"CREATE FUNCTION {named}() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '22000'; END $$ "
        "LANGUAGE plpgsql"
    )
    connection.exec_driver_sql(
        f"CREATE TRIGGER {named} BEFORE UPDATE ON {table} FOR EACH ROW WHEN (OLD.{column} = '{row_id}') "
        f"EXECUTE FUNCTION {named}()"
    )
