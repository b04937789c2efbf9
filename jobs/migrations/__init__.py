"""Alembic's environment for the `aquila_*` tables."""
