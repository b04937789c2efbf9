"""The rules of a whole project: the table `[tool.aquila.cassettes]` of its pyproject.toml."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from aquila.cassette.matching.rules import Rules
from aquila.errors import ConfigError

TABLE = ("tool", "aquila", "cassettes")
KEYS = ("ignore", "ignore_text", "redact", "allow")


def project_rules(root: Path) -> Rules:
    """Read a project's rules; the defaults if it says nothing. A file that has not changed is read once.

    Args:
        root: The folder of its pyproject.toml.

    Raises:
        ConfigError: The file cannot be read, or the table has a wrong key or value; names both.
    """
    path = root / "pyproject.toml"
    try:
        found = path.stat()
    except FileNotFoundError:
        return Rules()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    return _read(path, (found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=16)
def _read(path: Path, _state: tuple[int, ...]) -> Rules:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML ({error}); correct it") from error
    return _rules(_table(document, path), f"{path}, [{'.'.join(TABLE)}]")


def _table(document: dict[str, Any], path: Path) -> dict[str, Any]:
    table = document
    for depth, name in enumerate(TABLE, start=1):
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {'.'.join(TABLE[:depth])} is {table!r}; make it a table")
    return table


def _rules(table: dict[str, Any], place: str) -> Rules:
    for key, value in table.items():
        if key not in KEYS:
            raise ConfigError(f"{place}: {key!r} is unknown; use {', '.join(KEYS)}")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{place}: {key} is {value!r}; make it a list of texts")
    try:
        return Rules.of(**table)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
